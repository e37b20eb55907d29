package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// A githubComment is a comment on a pull request, as GitHub's API has it.
type githubComment struct {
	ID   int    `json:"id"`
	Body string `json:"body"`
	User struct {
		Type string `json:"type"`
	} `json:"user"`
	Association string `json:"author_association"`
}

// githubAPI stands in for the part of GitHub's API that has the comments of the
// pull request 7 of o/r (docs.github.com/rest/issues/comments).
type githubAPI struct {
	mu       sync.Mutex
	file     string // every comment, and what was asked
	Comments []*githubComment
	Calls    []string
}

func (g *githubAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.Calls = append(g.Calls, r.Method+" "+r.URL.RequestURI())
	defer func() {
		text, _ := json.MarshalIndent(g, "", " ")
		_ = os.WriteFile(g.file, append(text, '\n'), 0o644)
	}()
	if r.Header.Get("Authorization") != "Bearer t0ken" {
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, "{\"message\":\"Resource not accessible\"}\n::error::pwned\n##[error]x\n")
		return
	}
	var given githubComment
	if r.Method != http.MethodGet {
		if err := json.NewDecoder(r.Body).Decode(&given); err != nil {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
	}
	const all = "/repos/o/r/issues/7/comments"
	var id int
	switch {
	case r.Method == http.MethodGet && r.URL.Path == all:
		var page int
		_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
		from, to := min(len(g.Comments), (page-1)*100), min(len(g.Comments), page*100)
		_ = json.NewEncoder(w).Encode(g.Comments[from:to])
	case r.Method == http.MethodPost && r.URL.Path == all:
		g.add(given.Body, "Bot", "NONE")
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodPatch && scan(r.URL.Path, "/repos/o/r/issues/comments/%d", &id) && id > 0 && id <= len(g.Comments):
		g.Comments[id-1].Body = given.Body
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func scan(text, format string, to *int) bool {
	n, err := fmt.Sscanf(text, format, to)
	return n == 1 && err == nil
}

func (g *githubAPI) add(body, user, association string) {
	c := &githubComment{ID: len(g.Comments) + 1, Body: body, Association: association}
	c.User.Type = user
	g.Comments = append(g.Comments, c)
}

// scriptGitHub starts the stand-in with 120 comments of others, the first of
// which begins as ours do, and sets GITHUB_API_URL: github-api FILE.
func scriptGitHub(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: github-api FILE")
	}
	g := &githubAPI{file: ts.MkAbs(args[0])}
	g.add("<!-- capsem-bench: ab --> a stranger's", "User", "NONE")
	for range 119 {
		g.add("hello", "User", "MEMBER")
	}
	server := httptest.NewServer(g)
	ts.Defer(server.Close)
	ts.Setenv("GITHUB_API_URL", server.URL)
}
