package compare

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/record"
)

// maxInput bounds one input. A boot of all ops with ten rounds is below 1 MB.
const maxInput = 512 << 20

// A Boot is one observation: everything that one fresh sandbox printed.
type Boot struct {
	*convert.Report
	// Text is the benchmark text, also of a boot that was read from JSON.
	Text []byte
	// Imported says that the boot was read from Capsem's JSON.
	Imported bool
}

// A Side is all boots of one build.
type Side struct {
	Name  string // for messages: a file or directory
	Boots []Boot
	Notes []string // what could not be used, for people
}

// ErrNoResults is returned for an input that has no operation at all.
var ErrNoResults = errors.New("no benchmark results in it")

// ReadBoots reads the boots of one input: a Capsem JSON document of any known
// shape, or benchmark text, plain or as JSON events. The name is used in
// messages only; notes say what was left out.
//
// An input is one boot, whatever number of runs it holds, because a test that
// counts rounds as boots reports noise as a difference. Only texts from before
// the guest line (record.Guest) may be joined: when such an input begins with
// the host's boot line, each boot line begins a boot. In a text that has a
// guest line, a later boot line may have been printed by the guest, and does
// not begin a boot.
func ReadBoots(r io.Reader, name string) (boots []Boot, notes []string, err error) {
	data, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return ParseBoots(data, name)
}

// ParseBoots is ReadBoots of an input that was read already; the boots keep
// it.
func ParseBoots(data []byte, name string) (boots []Boot, notes []string, err error) {
	if len(data) > maxInput {
		return nil, nil, fmt.Errorf("%s: larger than %d MiB", name, maxInput>>20)
	}
	if data, err = decoded(data, name); err != nil {
		return nil, nil, err
	}
	if convert.IsDocument(data) {
		var text bytes.Buffer
		notes, err := convert.Import(&text, bytes.NewReader(data), name)
		if err != nil {
			return nil, nil, err
		}
		boot, err := readBoot(text.Bytes(), name, convert.Read)
		boot.Imported = true
		return []Boot{boot}, prefix(name, notes), err
	}
	texts := splitBoots(data)
	for i, text := range texts {
		part := name
		if len(texts) > 1 {
			part = fmt.Sprintf("%s (boot %d)", name, i+1)
		}
		boot, err := readBoot(text, part, convert.ReadResults)
		if err != nil {
			return nil, nil, err
		}
		boots = append(boots, boot)
		notes = append(notes, complaints(boot.Report)...)
		if n := bytes.Count(text, []byte(record.Prefix+`{"type":"run"`)); n > 1 {
			notes = append(notes, fmt.Sprintf("%s: %d runs in one text count as one boot; one file a boot tells them apart", part, n))
		}
	}
	return boots, notes, nil
}

// complaints are the first few lines that the reader could not use, with their
// places.
func complaints(rep *convert.Report) (out []string) {
	const most = 3
	for _, f := range rep.Failures[:min(1, len(rep.Failures))] {
		out = append(out, "the run failed: "+f.String())
	}
	failures := len(out)
	for _, w := range rep.Warnings[:min(most, len(rep.Warnings))] {
		out = append(out, w.String())
	}
	if n := len(rep.Warnings) + rep.Dropped - len(out) + failures; n > 0 {
		out = append(out, fmt.Sprintf("%s: %d more such lines; 'capsem-bench convert' shows them", rep.Name, n))
	}
	return out
}

// readBoot reads one boot with the given reader of package convert.
func readBoot(text []byte, name string, read func(io.Reader, string) (*convert.Report, error)) (Boot, error) {
	rep, err := read(bytes.NewReader(text), name)
	if err != nil {
		return Boot{}, err
	}
	if len(rep.Ops) == 0 {
		return Boot{}, fmt.Errorf("%s: %w; want benchmark text, or JSON of capsem-bench or Capsem%s", name, ErrNoResults, rep.FirstWarning())
	}
	plain, err := convert.Plain(text, name)
	if err != nil {
		return Boot{}, err
	}
	return Boot{Report: rep, Text: plain}, nil
}

// decoded is the input without a byte order mark, another encoding than UTF-8
// or a compression.
func decoded(data []byte, name string) ([]byte, error) {
	r, err := convert.Decode(bytes.NewReader(data), name)
	if err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(make([]byte, 0, len(data)+bytes.MinRead))
	if _, err := out.ReadFrom(r); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return out.Bytes(), nil
}

var bootLine = []byte(record.Prefix + `{"type":"boot"`)

var guestLine = []byte("\n" + strings.TrimSuffix(record.GuestLine, "\n"))

func splitBoots(data []byte) [][]byte {
	if !bytes.HasPrefix(data, bootLine) || bytes.Contains(data, guestLine) {
		return [][]byte{data}
	}
	var texts [][]byte
	for len(data) > 0 {
		end := bytes.Index(data[1:], append([]byte("\n"), bootLine...))
		if end < 0 {
			return append(texts, data)
		}
		end += len("\n") + 1
		texts = append(texts, data[:end:end])
		data = data[end:]
	}
	return texts
}

func prefix(name string, notes []string) []string {
	out := make([]string, len(notes))
	for i, n := range notes {
		out[i] = name + ": " + n
	}
	return out
}

// sorted returns the boots in an order that depends on what they say only.
func sorted(boots []Boot) []Boot {
	out := slices.Clone(boots)
	slices.SortStableFunc(out, func(a, b Boot) int {
		if c := cmp.Or(cmp.Compare(stageOf(a), stageOf(b)), strings.Compare(on(a), on(b)), cmp.Compare(slotOf(a), slotOf(b))); c != 0 {
			return c
		}
		return bytes.Compare(a.Text, b.Text)
	})
	return out
}

func stageOf(b Boot) int {
	if b.Boot == nil {
		return 0
	}
	return b.Boot.Stage
}

func slotOf(b Boot) int {
	if b.Boot == nil {
		return 0
	}
	return b.Boot.Slot
}
