// Package report draws results as one HTML file: trends over releases, two
// sides of a comparison, the rounds of a run.
//
// The file loads nothing else: styles and script are in it, pictures are SVG
// made here, and its content security policy forbids requests. It can be read
// without JavaScript, which adds tooltips that follow keyboard focus. Marks are
// drawn here and not by a plot library, because each point is a link with a
// name, colours change with the reader's scheme, and text must keep its size
// when a picture shrinks (docs/decisions.md).
//
// Names, labels and reasons come out of a VM. They pass termtext, which leaves
// no control or bidi character, and html/template, which leaves no markup.
package report
