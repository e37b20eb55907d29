// Package remote runs commands in a guest and copies files to and from it,
// over SSH on any connection: vsock into a VM of ours, TCP or a unix socket
// elsewhere. The other end is internal/sshd, or any SSH server that has exec,
// signals and the sftp subsystem.
//
// The guest is not trusted. Its host key authenticates it. The connection to a
// guest that sends nothing for Config.Silence is closed. What it sends is
// streamed or bounded, and no name it sends leads out of the directory that is
// copied to.
package remote

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// defaultSilence is how long a guest may send nothing: an emulated one that
// loads its only CPU still answers within a few seconds.
const defaultSilence = 30 * time.Second

// handshakeTimeout bounds the handshake where ctx does not: it takes 0.1 s on
// a real CPU and about 1 s on an emulated one.
const handshakeTimeout = 30 * time.Second

// ErrSilent says that the guest sent nothing for Config.Silence, ErrEnded that
// the connection was closed because Config.Ended was.
var (
	ErrSilent = errors.New("the guest no longer answers")
	ErrEnded  = errors.New("the guest is of no more use")
)

// drain is how long output is still read after Config.Ended: what the guest sent
// before may be in the host's buffers.
const drain = 3 * time.Second

// A Config says how to reach a guest.
type Config struct {
	Dial    func(ctx context.Context) (net.Conn, error)
	User    string          // "" is root
	Key     []byte          // private key, PEM
	HostKey []byte          // the guest's key, as a line of authorized_keys
	Silence time.Duration   // the guest may send nothing for this long; 0 is 30 s
	Ended   <-chan struct{} // closed when the guest has ended; nil is never
}

// NewKey makes an Ed25519 key: the private half as PEM in OpenSSH's form, the
// public one as a line of authorized_keys.
func NewKey() (private, public []byte, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(priv, "capsem-bench")
	if err != nil {
		return nil, nil, err
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(block), ssh.MarshalAuthorizedKey(key), nil
}

// A Client is a connection to a guest. Its methods may be called at once.
type Client struct {
	ssh   *ssh.Client
	conn  *heardConn
	fault atomic.Pointer[error] // why we closed the connection
	done  chan struct{}
}

// Connect makes one attempt. The caller closes the client.
func Connect(ctx context.Context, cfg Config) (*Client, error) {
	client, host, err := cfg.clientConfig()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	nc, err := cfg.Dial(ctx)
	if err != nil {
		return nil, err
	}
	conn := &heardConn{Conn: nc}
	conn.hear()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	sc, chans, reqs, err := ssh.NewClientConn(conn, host, client)
	if !stop() || err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("the guest's SSH server: %w", err)
	}
	c := &Client{ssh: ssh.NewClient(sc, chans, reqs), conn: conn, done: make(chan struct{})}
	silence := cfg.Silence
	if silence <= 0 {
		silence = defaultSilence
	}
	go c.watch(silence, cfg.Ended)
	return c, nil
}

// hostName stands for the guest where the protocol wants a name.
const hostName = "guest:22"

func (cfg Config) clientConfig() (*ssh.ClientConfig, string, error) {
	key, err := ssh.ParsePrivateKey(cfg.Key)
	if err != nil {
		return nil, "", fmt.Errorf("reading the key: %w", err)
	}
	want, _, _, _, err := ssh.ParseAuthorizedKey(cfg.HostKey)
	if err != nil {
		return nil, "", fmt.Errorf("reading the guest's host key: %w", err)
	}
	user := cfg.User
	if user == "" {
		user = "root"
	}
	return &ssh.ClientConfig{
		User: user,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: func(_ string, _ net.Addr, got ssh.PublicKey) error {
			if !bytes.Equal(got.Marshal(), want.Marshal()) {
				return errors.New("it has another host key than ours: this is not the guest that was started")
			}
			return nil
		},
		HostKeyAlgorithms: hostKeyAlgorithms(want.Type()),
	}, hostName, nil
}

// hostKeyAlgorithms asks the server for the key that we know, not for one of
// the others it may have.
func hostKeyAlgorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// Close ends the connection and whatever runs over it.
func (c *Client) Close() error {
	c.giveUp(net.ErrClosed)
	return nil
}

// giveUp closes the connection for a reason; the first one counts.
func (c *Client) giveUp(why error) {
	if c.fault.CompareAndSwap(nil, &why) {
		_ = c.conn.Close() // not ssh.Close, which would first write
		close(c.done)
	}
}

// why puts the reason for which we closed the connection in the place of what
// came of it.
func (c *Client) why(err error) error {
	if err == nil {
		return nil
	}
	if fault := c.fault.Load(); fault != nil {
		return *fault
	}
	return err
}

// watch closes the connection when the guest has sent nothing for the given time,
// although it was sent a keepalive, and when it has ended: a guest whose
// filesystem is gone still answers. The keepalive has a goroutine of its own
// because writing to a guest that does not read blocks.
func (c *Client) watch(silence time.Duration, ended <-chan struct{}) {
	gone := make(chan struct{})
	go func() { _ = c.ssh.Wait(); close(gone) }()
	tick := time.NewTicker(max(silence/4, time.Millisecond))
	defer tick.Stop()
	var asking atomic.Bool
	var drained <-chan time.Time
	for {
		select {
		case <-c.done:
			return
		case <-gone:
			return
		case <-ended:
			ended, drained = nil, time.After(drain)
			continue
		case <-drained:
			c.giveUp(ErrEnded)
			return
		case <-tick.C:
		}
		quiet := c.conn.quiet()
		if quiet > silence {
			c.giveUp(fmt.Errorf("%w: nothing came from it for %v", ErrSilent, silence))
			return
		}
		if quiet > silence/4 && asking.CompareAndSwap(false, true) {
			go func() {
				_, _, _ = c.ssh.SendRequest("keepalive@openssh.com", true, nil)
				asking.Store(false)
			}()
		}
	}
}

// heardConn knows when something was last read.
type heardConn struct {
	net.Conn
	last atomic.Int64 // UnixNano
}

func (c *heardConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.hear()
	}
	return n, err
}

func (c *heardConn) hear() { c.last.Store(time.Now().UnixNano()) }
func (c *heardConn) quiet() time.Duration {
	return time.Duration(time.Now().UnixNano() - c.last.Load())
}
