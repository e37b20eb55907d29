// Package repotest holds the rules of the repository as tests: what may import
// what, that every package has a comment, and that the catalogue in the root's
// package comment is that of the code. It has tests only. A rule is here, and
// not in a linter's configuration, when it is about this repository and not
// about Go.
package repotest
