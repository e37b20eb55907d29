package record

import "fmt"

// BootFiles matches the names of BootFile.
const BootFiles = "boot-*.txt"

// BootFile returns the name of the text of one of many boots, numbered from 1:
// boot-001.txt. Three digits keep the order of names that of the boots, of
// which no plan has more than 400.
func BootFile(n int) string { return fmt.Sprintf("boot-%03d.txt", n) }
