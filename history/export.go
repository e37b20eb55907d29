package history

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/parquet-go/parquet-go"
)

// A Sample is one value of one metric in one round, with what is known of it:
// a row of the tables that Export writes.
type Sample struct {
	RunID    int64     `json:"run_id" parquet:"run_id"`
	Run      string    `json:"run" parquet:"run,dict"`
	Time     time.Time `json:"time" parquet:"time,timestamp"`
	Release  string    `json:"release,omitempty" parquet:"release,dict"`
	Commit   string    `json:"commit,omitempty" parquet:"commit,dict"`
	Labels   string    `json:"labels,omitempty" parquet:"labels,dict"`
	BootID   int64     `json:"boot_id" parquet:"boot_id"`
	Boot     string    `json:"boot" parquet:"boot,dict"`
	Side     string    `json:"side,omitempty" parquet:"side,dict"`
	Hostname string    `json:"hostname,omitempty" parquet:"hostname,dict"`
	Arch     string    `json:"arch,omitempty" parquet:"arch,dict"`
	CPU      string    `json:"cpu,omitempty" parquet:"cpu,dict"`
	Sandbox  string    `json:"sandbox,omitempty" parquet:"sandbox,dict"`
	Category string    `json:"category" parquet:"category,dict"`
	Op       string    `json:"op" parquet:"op,dict"`
	Unit     string    `json:"unit" parquet:"unit,dict"`
	Better   string    `json:"better,omitempty" parquet:"better,dict"`
	Workload string    `json:"workload" parquet:"workload,dict"`
	Round    int64     `json:"round" parquet:"round"`
	Value    float64   `json:"value" parquet:"value"`
}

// Samples calls yield with every value of the chosen runs, in the order of
// runs, boots and metrics, until it returns an error.
func (s *Store) Samples(ctx context.Context, f Filter, yield func(Sample) error) error {
	runs, err := s.Runs(ctx, f)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if err := s.samplesOf(ctx, r, yield); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) samplesOf(ctx context.Context, r RunInfo, yield func(Sample) error) error {
	rows, err := s.db.QueryContext(ctx, `SELECT b.id, b.name, b.side, b.hostname, e.arch, e.cpu, e.sandbox, m.category, m.op, m.unit, m.better, m.workload, v.round, v.value
		FROM boots b JOIN environments e ON e.id = b.environment_id JOIN samples v ON v.boot_id = b.id JOIN metrics m ON m.id = v.metric_id
		WHERE b.run_id = $1 ORDER BY b.place, m.id, v.round`, r.ID)
	if err != nil {
		return s.wrap(err)
	}
	defer rows.Close()
	for rows.Next() {
		row := Sample{RunID: r.ID, Run: r.Name, Time: r.Time, Release: r.Labels["release"], Commit: r.Labels["commit"], Labels: r.Labels.String()}
		if err := rows.Scan(&row.BootID, &row.Boot, &row.Side, &row.Hostname, &row.Arch, &row.CPU, &row.Sandbox, &row.Category, &row.Op, &row.Unit,
			&row.Better, &row.Workload, &row.Round, &row.Value); err != nil {
			return s.wrap(err)
		}
		if err := yield(row); err != nil {
			return err
		}
	}
	return s.wrap(rows.Err())
}

// A Format is how Export writes.
type Format string

const (
	FormatText    Format = "text"    // the documents as they were added, one after the other
	FormatCSV     Format = "csv"     // a row a value, RFC 4180
	FormatJSONL   Format = "jsonl"   // an object a value and line
	FormatParquet Format = "parquet" // a row a value
)

// Formats returns all formats of Export.
func Formats() []Format { return []Format{FormatText, FormatCSV, FormatJSONL, FormatParquet} }

// Export writes the chosen runs.
func (s *Store) Export(ctx context.Context, w io.Writer, format Format, f Filter) error {
	switch format {
	case FormatText:
		return s.exportText(ctx, w, f)
	case FormatCSV:
		return s.exportCSV(ctx, w, f)
	case FormatJSONL:
		enc := json.NewEncoder(w)
		return s.Samples(ctx, f, func(row Sample) error { return enc.Encode(row) })
	case FormatParquet:
		return s.exportParquet(ctx, w, f)
	}
	return fmt.Errorf("unknown format %q; want text, csv, jsonl or parquet", format)
}

func (s *Store) exportText(ctx context.Context, w io.Writer, f Filter) error {
	runs, err := s.Runs(ctx, f)
	if err != nil {
		return err
	}
	for _, r := range runs {
		docs, err := s.Documents(ctx, r.ID)
		if err != nil {
			return err
		}
		for _, d := range docs {
			if _, err := w.Write(d.Data); err != nil {
				return err
			}
			if n := len(d.Data); n > 0 && d.Data[n-1] != '\n' {
				if _, err := io.WriteString(w, "\n"); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *Store) exportCSV(ctx context.Context, w io.Writer, f Filter) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{
		"run_id", "run", "time", "release", "commit", "labels", "boot_id", "boot", "side", "hostname", "arch", "cpu", "sandbox",
		"category", "op", "unit", "better", "workload", "round", "value",
	}); err != nil {
		return err
	}
	cell := termtext.Spreadsheet
	err := s.Samples(ctx, f, func(r Sample) error {
		return out.Write([]string{
			strconv.FormatInt(r.RunID, 10), cell(r.Run), r.Time.Format(time.RFC3339), cell(r.Release), cell(r.Commit), cell(r.Labels),
			strconv.FormatInt(r.BootID, 10), cell(r.Boot), cell(r.Side), cell(r.Hostname), cell(r.Arch), cell(r.CPU), cell(r.Sandbox),
			cell(r.Category), cell(r.Op), cell(r.Unit), r.Better, cell(r.Workload), strconv.FormatInt(r.Round, 10), strconv.FormatFloat(r.Value, 'g', -1, 64),
		})
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

func (s *Store) exportParquet(ctx context.Context, w io.Writer, f Filter) error {
	const group = 1 << 16 // rows kept in memory
	out := parquet.NewGenericWriter[Sample](w, parquet.Compression(&parquet.Zstd))
	rows := make([]Sample, 0, 1024)
	written := 0
	flush := func() error {
		n, err := out.Write(rows)
		rows = rows[:0]
		if written += n; err == nil && written >= group {
			written, err = 0, out.Flush()
		}
		return err
	}
	err := s.Samples(ctx, f, func(row Sample) error {
		if rows = append(rows, row); len(rows) < cap(rows) {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	return out.Close()
}
