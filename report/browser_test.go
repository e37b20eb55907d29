package report

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/chromium"
	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A browser shows one page and keeps what the page said and asked for.
type browser struct {
	ctx  context.Context
	mu   sync.Mutex
	said []string
	asks []string
}

// open starts Chromium on a page.
func open(t *testing.T, page string) *browser {
	t.Helper()
	running, err := chromium.Start(t.Context())
	if errors.Is(err, chromium.ErrNotInstalled) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, running.Close()) })
	file := filepath.Join(t.TempDir(), "report.html")
	require.NoError(t, os.WriteFile(file, []byte(page), 0o644))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = running.Tab(ctx)
	t.Cleanup(cancel)
	b := &browser{ctx: ctx}
	chromedp.ListenTarget(ctx, func(ev any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch ev := ev.(type) {
		case *runtime.EventConsoleAPICalled:
			b.said = append(b.said, "console: "+ev.Type.String())
		case *runtime.EventExceptionThrown:
			b.said = append(b.said, ev.ExceptionDetails.Error())
		case *network.EventRequestWillBeSent:
			b.asks = append(b.asks, ev.Request.URL)
		}
	})
	u := url.URL{Scheme: "file", Path: file}
	b.do(t, network.Enable(), runtime.Enable(), chromedp.Navigate(u.String()), chromedp.WaitReady("main"))
	return b
}

func (b *browser) do(t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	require.NoError(t, chromedp.Run(b.ctx, actions...))
}

// covered are the texts of a picture or of a line of the interval plot that lie
// on another one of the same.
const covered = `[...document.querySelectorAll('svg, .intervals > div')].flatMap(part => {
  const texts = [...part.querySelectorAll(part.matches('div') ? 'b, span' : 'text')].map(e => [e.textContent, e.getBoundingClientRect()]);
  return texts.filter(([, a], i) => texts.some(([, b], j) => i < j && a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)).map(([t]) => t);
})`

func (b *browser) texts(t *testing.T, script string) (out []string) {
	t.Helper()
	b.do(t, chromedp.Evaluate(script, &out))
	return out
}

// quiet holds the page to have said nothing and asked for nothing.
func (b *browser) quiet(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	assert.Empty(t, b.said)
	require.NotEmpty(t, b.asks, "the page itself")
	for _, u := range b.asks {
		assert.True(t, strings.HasPrefix(u, "file://") && strings.HasSuffix(strings.SplitN(u, "#", 2)[0], "report.html"), "it asked for %s", u)
	}
}

func TestBrowser(t *testing.T) {
	b := open(t, render(t, anInput(t, nil)))
	t.Run("widths", func(t *testing.T) {
		for _, width := range []int64{360, 1600} {
			var inside, window int
			b.do(t, chromedp.EmulateViewport(width, 900), chromedp.Evaluate("document.documentElement.scrollWidth", &inside), chromedp.Evaluate("document.documentElement.clientWidth", &window))
			assert.LessOrEqual(t, inside, window, "nothing sticks out at %d", width)
			assert.Empty(t, b.texts(t, covered), "text lies on other text at %d", width)
			var narrowest float64
			b.do(t, chromedp.Evaluate("Math.min(...[...document.querySelectorAll('.intervals svg')].map(s => s.getBoundingClientRect().width))", &narrowest))
			assert.GreaterOrEqual(t, narrowest, 300.0, "the interval plot is wide enough to read at %d", width)
		}
	})
	t.Run("schemes", func(t *testing.T) {
		var light, dark string
		back := chromedp.Evaluate("getComputedStyle(document.body).backgroundColor", &light)
		b.do(t, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "light"}}), back)
		b.do(t, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}),
			chromedp.Evaluate("getComputedStyle(document.body).backgroundColor", &dark))
		assert.NotEqual(t, light, dark)
	})
	t.Run("tooltip by mouse", func(t *testing.T) {
		var tip string
		b.do(t, chromedp.Evaluate("document.querySelector('#chart-0').scrollIntoView({block: 'center', behavior: 'instant'})", nil))
		// A frame has to be drawn before the mouse finds what lies there.
		require.Eventually(t, func() bool {
			b.do(t, chromedp.MouseEvent("mouseMoved", 1, 1), mouseOver("#chart-0 a circle"), chromedp.Evaluate("document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent", &tip))
			return tip != ""
		}, time.Minute, 50*time.Millisecond)
		assert.Contains(t, tip, "1.1: ")
	})
	t.Run("tooltip by keyboard", func(t *testing.T) {
		var tip string
		b.do(t, chromedp.Evaluate("document.getElementById('tip').hidden = true; document.querySelector('#chart-0 a').focus({preventScroll: true})", nil),
			chromedp.MouseEvent("mouseMoved", 1, 1), chromedp.KeyEvent(kb.Tab), chromedp.WaitVisible("#tip", chromedp.ByID), chromedp.Text("#tip", &tip, chromedp.ByID))
		assert.Contains(t, tip, "1.2: ", "the next point")
		b.do(t, chromedp.KeyEvent(kb.Escape), chromedp.WaitNotVisible("#tip", chromedp.ByID))
	})
	t.Run("parts and percentiles by keyboard", func(t *testing.T) {
		for selector, want := range map[string]string{".waterfall .part + .part": "handshake: median 2", ".distribution .mark": "cold, p0: "} {
			var tip string
			b.do(t, chromedp.Evaluate("document.querySelector('"+selector+"').focus({preventScroll: true})", nil),
				chromedp.WaitVisible("#tip", chromedp.ByID), chromedp.Text("#tip", &tip, chromedp.ByID))
			assert.Contains(t, tip, want)
			b.do(t, chromedp.KeyEvent(kb.Escape), chromedp.WaitNotVisible("#tip", chromedp.ByID))
		}
	})
	t.Run("a click leads to the run", func(t *testing.T) {
		var hash string
		b.do(t, chromedp.Evaluate("document.querySelector('#chart-0 a').dispatchEvent(new MouseEvent('click', {bubbles: true})); location.hash", &hash))
		assert.Equal(t, "#run-1", hash)
	})
	t.Run("a screen reader", func(t *testing.T) {
		roles := make(map[string]int)
		for _, n := range b.accessible(t) {
			roles[n.Role.Value]++
			focusable := slices.ContainsFunc(n.Properties, func(p axProperty) bool { return p.Name == "focusable" && p.Value.Value == true })
			if n.Role.Value == "image" || focusable {
				assert.NotEmpty(t, n.Name.Value, "a %s has a name", n.Role.Value)
			}
		}
		for _, role := range []string{"main", "navigation", "heading", "figure", "image", "link", "table", "columnheader"} {
			assert.Positive(t, roles[role], role)
		}
	})
	t.Run("print", func(t *testing.T) {
		var pdf []byte
		b.do(t, chromedp.ActionFunc(func(ctx context.Context) (err error) {
			pdf, _, err = cdppage.PrintToPDF().WithPrintBackground(true).Do(ctx)
			return err
		}))
		assert.True(t, strings.HasPrefix(string(pdf), "%PDF"))
		assert.Greater(t, len(pdf), 20_000)
	})
	b.quiet(t)
}

// An axNode is what the browser tells a screen reader of one element. That of
// cdproto refuses names that newer browsers have.
type axNode struct {
	Ignored    bool         `json:"ignored"`
	Role       axText       `json:"role"`
	Name       axText       `json:"name"`
	Properties []axProperty `json:"properties"`
}

type axText struct {
	Value string `json:"value"`
}

type axProperty struct {
	Name  string `json:"name"`
	Value struct {
		Value any `json:"value"`
	} `json:"value"`
}

// accessible returns all elements that a screen reader is told of.
func (b *browser) accessible(t *testing.T) []axNode {
	t.Helper()
	var tree struct {
		Nodes []axNode `json:"nodes"`
	}
	b.do(t, chromedp.ActionFunc(func(ctx context.Context) error {
		return cdp.Execute(ctx, accessibility.CommandGetFullAXTree, nil, &tree)
	}))
	return slices.DeleteFunc(tree.Nodes, func(n axNode) bool { return n.Ignored })
}

// mouseOver moves the mouse to the middle of an element.
func mouseOver(selector string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		var at []float64
		if err := chromedp.Evaluate("(() => { const r = document.querySelector('"+selector+"').getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()", &at).Do(ctx); err != nil {
			return err
		}
		return chromedp.MouseEvent("mouseMoved", at[0], at[1]).Do(ctx)
	})
}

// Guest to results: a hostile name runs nothing in a browser.
func TestBrowserRunsNothingOfAGuests(t *testing.T) {
	b := open(t, render(t, hostileInput(t)))
	var scripts, images, alerts int
	b.do(t, chromedp.Evaluate("document.scripts.length", &scripts), chromedp.Evaluate("document.images.length", &images),
		chromedp.Evaluate("document.querySelectorAll('[onerror],[onclick],iframe,object,embed').length", &alerts))
	assert.Equal(t, []int{1, 0, 0}, []int{scripts, images, alerts})
	b.quiet(t)
}
