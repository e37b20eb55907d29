package compare

import (
	"os"
	"path/filepath"
	"testing"
)

func BenchmarkX(b *testing.B) {
	load := func(d string) *Side {
		s := &Side{Name: d}
		fs, _ := filepath.Glob(d + "/*.txt")
		for _, n := range fs {
			f, _ := os.Open(n)
			boots, _, err := ReadBoots(f, n)
			if err != nil {
				b.Fatal(err)
			}
			f.Close()
			s.Boots = append(s.Boots, boots...)
		}
		return s
	}
	b.Run("load", func(b *testing.B) {
		for range b.N {
			load("/tmp/cmp/nos/base")
			load("/tmp/cmp/nos/cand")
		}
	})
	old, new := load("/tmp/cmp/nos/base"), load("/tmp/cmp/nos/cand")
	b.Run("judge", func(b *testing.B) {
		for range b.N {
			Judge(old, new, Options{})
		}
	})
}
