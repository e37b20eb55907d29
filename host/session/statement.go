package session

import (
	"errors"
	"strings"
)

// A statement is the one statement of a query: its text without what stands
// around it, and its tokens: names and numbers, quoted texts, and every other
// character by itself; no comments.
type statement struct {
	text  string
	words []string
}

// scanStatement finds the statement of a query. A second one is an error: the
// driver would run it too.
func scanStatement(query string) (statement, error) {
	var words []string
	ended := false
	begin, end := 0, 0
	for rest := query; ; {
		rest = skipBlank(rest)
		if rest == "" {
			break
		}
		n := tokenLength(rest)
		token := rest[:n]
		rest = rest[n:]
		switch {
		case token == ";":
			ended = ended || len(words) > 0
		case ended:
			return statement{}, errors.New("query: one statement only; there is more after the semicolon")
		default:
			end = len(query) - len(rest)
			if len(words) == 0 {
				begin = end - n
			}
			words = append(words, token)
		}
	}
	if len(words) == 0 {
		return statement{}, errors.New("query: no statement")
	}
	return statement{query[begin:end], words}, nil
}

// verb is what the statement does, in capitals: behind the tables of a WITH it
// is the first verb outside parentheses.
func (s statement) verb() string {
	first := strings.ToUpper(s.words[0])
	if first != "WITH" {
		return first
	}
	depth := 0
	for _, word := range s.words {
		switch word = strings.ToUpper(word); word {
		case "(":
			depth++
		case ")":
			depth--
		case "SELECT", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE":
			if depth == 0 {
				return word
			}
		}
	}
	return first // SQLite will say what is missing
}

// skipBlank drops blanks and comments from the front.
func skipBlank(s string) string {
	for {
		s = strings.TrimLeft(s, " \t\r\n\f\v\ufeff")
		switch {
		case strings.HasPrefix(s, "--"):
			_, s, _ = strings.Cut(s, "\n")
		case strings.HasPrefix(s, "/*"):
			_, s, _ = strings.Cut(s[2:], "*/")
		default:
			return s
		}
	}
}

// tokenLength returns the length of the first token of s, which is not empty.
func tokenLength(s string) int {
	switch c := s[0]; {
	case c == '\'' || c == '"' || c == '`':
		return quotedLength(s, c)
	case c == '[':
		if i := strings.IndexByte(s, ']'); i >= 0 {
			return i + 1
		}
		return len(s)
	case !isWord(c):
		return 1
	}
	n := 1
	for n < len(s) && isWord(s[n]) {
		n++
	}
	return n
}

// quotedLength measures a quoted text; a doubled quote stands for itself. A
// text without an end goes to the end, where SQLite will complain.
func quotedLength(s string, quote byte) int {
	for i := 1; i < len(s); i++ {
		if s[i] != quote {
			continue
		}
		if i+1 < len(s) && s[i+1] == quote {
			i++
			continue
		}
		return i + 1
	}
	return len(s)
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
