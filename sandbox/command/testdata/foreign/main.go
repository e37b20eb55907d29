// Command foreign does nothing; the test builds it for another machine.
package main

func main() {}
