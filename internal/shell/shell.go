// Package shell quotes arguments for a POSIX shell and splits text into words
// as such a shell does (Shell Command Language, POSIX.1-2024 XCU 2.2 and 2.3).
// Split expands nothing and knows no operators: it reads command templates,
// which are run without a shell.
package shell

import (
	"fmt"
	"strings"
)

// Quote returns a word that a POSIX shell reads as exactly s. No shell can be
// given a NUL byte, nor can a process: it is dropped.
func Quote(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if s != "" && strings.IndexFunc(s, special) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// special reports characters that a word may not have unquoted. That = is one
// keeps a command's name from being read as an assignment.
func special(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("_@%+:,./-", r)
}

// Join returns the command line that runs argv.
func Join(argv ...string) string {
	words := make([]string, len(argv))
	for i, arg := range argv {
		words[i] = Quote(arg)
	}
	return strings.Join(words, " ")
}

// Split returns the words of a line. Quotes and backslashes act as in a shell.
// What a shell would expand or act upon is an error when it is not quoted, for
// here it would silently mean itself.
func Split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	for i := 0; i < len(line); {
		c := line[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
			i++
			continue
		case c == '\'' || c == '"':
			n, err := quoted(&word, line[i:])
			if err != nil {
				return nil, err
			}
			i += n
		case c == '\\':
			if i+1 == len(line) {
				return nil, fmt.Errorf("%q ends with a backslash", line)
			}
			if line[i+1] != '\n' { // an escaped newline is no character at all
				word.WriteByte(line[i+1])
			}
			i += 2
		case strings.IndexByte("|&;<>()$`", c) >= 0:
			return nil, fmt.Errorf("%q has %q outside of quotes, but no shell reads it; quote it, or put the whole into sh -c '...'", line, c)
		default:
			word.WriteByte(c)
			i++
		}
		inWord = true
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// quoted adds what the quotes at the start of s enclose to the word, and
// returns the length of it all.
func quoted(word *strings.Builder, s string) (n int, err error) {
	quote := s[0]
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == quote:
			return i + 1, nil
		case s[i] == '\\' && quote == '"' && i+1 < len(s) && strings.IndexByte("$`\"\\\n", s[i+1]) >= 0:
			i++
			if s[i] != '\n' {
				word.WriteByte(s[i])
			}
		default:
			word.WriteByte(s[i])
		}
	}
	return 0, fmt.Errorf("%s has no closing %c", s, quote)
}
