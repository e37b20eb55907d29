package leafcert

import (
	"container/list"
	"crypto/tls"
	"sync"
)

// cache keeps the certificates used last.
type cache struct {
	size int

	mu    sync.Mutex
	byKey map[string]*list.Element
	order *list.List // of *entry, the one used last in front
}

type entry struct {
	host string
	cert *tls.Certificate
}

func newCache(size int) *cache {
	return &cache{size: size, byKey: make(map[string]*list.Element), order: list.New()}
}

func (c *cache) get(host string) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[host]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*entry).cert
}

func (c *cache) put(host string, cert *tls.Certificate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[host]; ok {
		e.Value.(*entry).cert = cert
		c.order.MoveToFront(e)
		return
	}
	c.byKey[host] = c.order.PushFront(&entry{host, cert})
	if last := c.order.Back(); c.order.Len() > c.size {
		delete(c.byKey, last.Value.(*entry).host)
		c.order.Remove(last)
	}
}
