package remote

import "context"

// Ping asks the guest's server for a sign of life and waits for it.
func (c *Client) Ping(ctx context.Context) error {
	answered := make(chan error, 1)
	go func() {
		_, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil)
		answered <- err
	}()
	select {
	case err := <-answered:
		return c.why(err)
	case <-ctx.Done():
		return ctx.Err()
	}
}
