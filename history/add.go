package history

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/digest"
)

// maxText bounds a document once unpacked.
const maxText = 512 << 20

// Add keeps a run, in one transaction: all of it or nothing. It returns the
// run's number, and false where the store has the same content already; then
// labels that are new are added to those that it has.
func (s *Store) Add(ctx context.Context, run Run) (id int64, added bool, err error) {
	packed := make([][]byte, len(run.Documents))
	for i, d := range run.Documents {
		if packed[i], err = pack(d.Data); err != nil {
			return 0, false, err
		}
	}
	err = s.transaction(ctx, func(tx *sql.Tx) error {
		id, added, err = s.insertRun(ctx, tx, run)
		if err != nil {
			return err
		}
		if err := insertLabels(ctx, tx, id, run.Labels); err != nil || !added {
			return err
		}
		for i, d := range run.Documents {
			sum := digest.Bytes(d.Data)
			if _, err := tx.ExecContext(ctx, `INSERT INTO texts (digest, size, gzip) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
				sum, len(d.Data), packed[i]); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO run_texts (run_id, place, name, digest) VALUES ($1, $2, $3, $4)`,
				clean(id, i, d.Name, sum)...); err != nil {
				return err
			}
		}
		return derive(ctx, tx, s.dialect, id, run.Boots)
	})
	return id, added, err
}

func (s *Store) insertRun(ctx context.Context, tx *sql.Tx, run Run) (id int64, added bool, err error) {
	now := float64(s.now().UnixNano()) / 1e9
	sum := run.digest()
	err = tx.QueryRowContext(ctx, `INSERT INTO runs (digest, name, recorded_at, added_at, complete) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (digest) DO NOTHING RETURNING id`, clean(sum, run.Name, cmp.Or(run.recorded(), now), now, integer(run.complete()))...).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return id, false, tx.QueryRowContext(ctx, `SELECT id FROM runs WHERE digest = $1`, sum).Scan(&id)
	}
	return id, err == nil, err
}

func insertLabels(ctx context.Context, q querier, id int64, labels Labels) error {
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		if _, err := q.ExecContext(ctx, `INSERT INTO labels (run_id, key, value) VALUES ($1, $2, $3)
			ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value`, clean(id, k, labels[k])...); err != nil {
			return err
		}
	}
	return nil
}

// derive fills the tables that follow from the texts of a run.
func derive(ctx context.Context, tx *sql.Tx, d dialect, run int64, boots []compare.Boot) error {
	figures := make([][]compare.Figure, len(boots))
	for i, b := range boots {
		figures[i] = compare.Figures(b)
	}
	metrics, err := metricIDs(ctx, tx, slices.Concat(figures...))
	if err != nil {
		return err
	}
	figureRows, sampleRows := newRows("figures", "metric_id", "boot_id", "value", "rounds"), newRows("samples", "boot_id", "metric_id", "round", "value")
	statusRows := newRows("statuses", "boot_id", "op", "status", "reason")
	for i, b := range boots {
		boot, err := insertBoot(ctx, tx, run, i, b)
		if err != nil {
			return err
		}
		reported := make(map[string]bool)
		kept := make(map[int64]bool)
		for _, f := range figures[i] {
			if op := storable(f.Op); !reported[op] {
				reported[op] = true
				statusRows.add(boot, f.Op, string(f.Status), f.Reason)
			}
			m := metrics[keyOf(f)]
			if f.Unit == "" || kept[m] {
				continue
			}
			kept[m] = true
			for n, v := range f.Rounds {
				sampleRows.add(boot, m, n+1, v)
			}
			if f.OK {
				figureRows.add(m, boot, f.Value, len(f.Rounds))
			}
		}
	}
	for _, r := range []*rows{figureRows, sampleRows, statusRows} {
		if err := r.insert(ctx, tx, d); err != nil {
			return err
		}
	}
	return nil
}

// A metricKey is one metric of one op under one workload, as the store has it.
type metricKey struct{ op, unit, workload string }

func keyOf(f compare.Figure) metricKey {
	return metricKey{storable(f.Op), storable(f.Unit), storable(f.Workload)}
}

// metricIDs returns the numbers of the metrics, and numbers new ones. They
// are inserted in one order, so that two writers never wait for each other.
func metricIDs(ctx context.Context, tx *sql.Tx, figures []compare.Figure) (map[metricKey]int64, error) {
	byKey := make(map[metricKey]compare.Figure)
	for _, f := range figures {
		if f.Unit != "" {
			byKey[keyOf(f)] = f
		}
	}
	keys := slices.SortedFunc(maps.Keys(byKey), func(a, b metricKey) int {
		return cmp.Or(strings.Compare(a.op, b.op), strings.Compare(a.unit, b.unit), strings.Compare(a.workload, b.workload))
	})
	out := make(map[metricKey]int64)
	if err := findMetrics(ctx, tx, keys, out); err != nil || len(out) == len(keys) {
		return out, err
	}
	keys = slices.DeleteFunc(keys, func(k metricKey) bool { return out[k] > 0 })
	for _, k := range keys {
		f := byKey[k]
		if _, err := tx.ExecContext(ctx, `INSERT INTO metrics (op, unit, workload, category, better, is_primary) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (op, unit, workload) DO NOTHING`, k.op, k.unit, k.workload, string(f.Category), string(f.Better), integer(f.Primary)); err != nil {
			return nil, err
		}
	}
	return out, findMetrics(ctx, tx, keys, out)
}

// findMetrics adds the numbers of those metrics that have one. It asks for many
// at once: a server that is far away takes its time for each statement.
func findMetrics(ctx context.Context, tx *sql.Tx, keys []metricKey, to map[metricKey]int64) error {
	var q strings.Builder
	q.WriteString(`SELECT m.id, m.op, m.unit, m.workload FROM (VALUES ($1, $2, $3)`)
	for i := 3; i < 3*rowsAtOnce; i += 3 {
		fmt.Fprintf(&q, ", ($%d, $%d, $%d)", i+1, i+2, i+3)
	}
	q.WriteString(`) AS k JOIN metrics m ON m.op = k.column1 AND m.unit = k.column2 AND m.workload = k.column3`)
	for part := range slices.Chunk(keys, rowsAtOnce) {
		var args []any
		for i := range rowsAtOnce { // the last part is filled up with its first: there is one statement
			k := part[0]
			if i < len(part) {
				k = part[i]
			}
			args = append(args, k.op, k.unit, k.workload)
		}
		if err := scanMetrics(ctx, tx, q.String(), args, to); err != nil {
			return err
		}
	}
	return nil
}

func scanMetrics(ctx context.Context, tx *sql.Tx, query string, args []any, to map[metricKey]int64) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var k metricKey
		if err := rows.Scan(&id, &k.op, &k.unit, &k.workload); err != nil {
			return err
		}
		to[k] = id
	}
	return rows.Err()
}

func insertBoot(ctx context.Context, tx *sql.Tx, run int64, place int, b compare.Boot) (id int64, err error) {
	env, err := environmentID(ctx, tx, compare.EnvironmentOf(b))
	if err != nil {
		return 0, err
	}
	var side, machine, hostname string
	var stage, slot int
	if b.Boot != nil {
		side, stage, slot, machine = b.Boot.Side, b.Boot.Stage, b.Boot.Slot, b.Boot.Machine
	}
	if b.Run != nil {
		hostname = b.Run.Hostname
	}
	var unfit []string
	for _, m := range b.Machine {
		unfit = append(unfit, m.Unfit...)
	}
	err = tx.QueryRowContext(ctx, `INSERT INTO boots (run_id, place, name, machine, hostname, side, stage, slot, recorded_at, complete, unfit, environment_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id`,
		clean(run, place, b.Name, machine, hostname, side, stage, slot, recorded(b), integer(b.Complete()), strings.Join(unfit, "; "), env)...).Scan(&id)
	return id, err
}

func environmentID(ctx context.Context, tx *sql.Tx, e compare.Environment) (id int64, err error) {
	values := []string{e.Arch, e.CPU, e.CPUs, e.Memory, e.Kernel, e.Accel, e.Image, e.Sandbox, e.Virtualization, e.Root}
	args := []any{digest.Bytes([]byte(strings.Join(values, "\x00")))[:16]}
	for _, v := range values {
		args = append(args, storable(v))
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO environments (fingerprint, arch, cpu, cpus, memory, kernel, accel, image, sandbox, virtualization, root)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (fingerprint) DO NOTHING`, args...); err != nil {
		return 0, err
	}
	return id, tx.QueryRowContext(ctx, `SELECT id FROM environments WHERE fingerprint = $1`, args[0]).Scan(&id)
}

// rows collects the rows of one table, to insert many with one statement.
type rows struct {
	table   string
	columns []string
	args    []any
}

func newRows(table string, columns ...string) *rows { return &rows{table: table, columns: columns} }

func (r *rows) add(values ...any) { r.args = append(r.args, clean(values...)...) }

// clean makes the strings among arguments storable.
func clean(args ...any) []any {
	for i, a := range args {
		if text, ok := a.(string); ok {
			args[i] = storable(text)
		}
	}
	return args
}

// storable escapes what a database would not take as text: PostgreSQL refuses
// a byte 0 and what is no UTF-8, and a guest or the name of a file may have both.
func storable(s string) string {
	if utf8.ValidString(s) && !strings.Contains(s, "\x00") {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == 0 || r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[0])
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// rowsAtOnce is how many rows one statement inserts. More save little: what a
// statement costs beside its rows is shared by so many already.
const rowsAtOnce = 50

// insert writes all rows.
func (r *rows) insert(ctx context.Context, tx *sql.Tx, d dialect) (err error) {
	if d.arrays {
		err = r.insertArrays(ctx, tx)
	} else {
		err = r.insertBatches(ctx, tx)
	}
	if err != nil {
		return fmt.Errorf("table %s: %w", r.table, err)
	}
	return nil
}

// insertArrays writes all rows with one statement, whose parameters are the
// columns: the server plans it once and answers once. A run of 1,200 values
// takes 15 messages to the server in this way and 47 in batches, and half of
// the time, on a busy machine beside each other. SQLite has no arrays.
func (r *rows) insertArrays(ctx context.Context, tx *sql.Tx) error {
	width := len(r.columns)
	if len(r.args) == 0 {
		return nil
	}
	columns, types := make([]any, width), make([]string, width)
	for c := range width {
		switch r.args[c].(type) {
		case string:
			columns[c], types[c] = column[string](r.args, c, width), "text[]"
		case float64:
			columns[c], types[c] = column[float64](r.args, c, width), "double precision[]"
		case int64:
			columns[c], types[c] = column[int64](r.args, c, width), "bigint[]"
		default:
			columns[c], types[c] = column[int](r.args, c, width), "integer[]"
		}
		types[c] = "$" + strconv.Itoa(c+1) + "::" + types[c]
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO "+r.table+" ("+strings.Join(r.columns, ", ")+") SELECT * FROM unnest("+strings.Join(types, ", ")+")", columns...)
	return err
}

// column returns one of the columns of rows that stand one after the other.
func column[T any](args []any, c, width int) []T {
	out := make([]T, 0, len(args)/width)
	for ; c < len(args); c += width {
		out = append(out, args[c].(T))
	}
	return out
}

// insertBatches writes so many rows with a statement. That for full batches is
// prepared once.
func (r *rows) insertBatches(ctx context.Context, tx *sql.Tx) error {
	width := len(r.columns)
	full, rest := len(r.args)/(rowsAtOnce*width), len(r.args)%(rowsAtOnce*width)
	args := r.args
	if full > 0 {
		batch, err := tx.PrepareContext(ctx, r.statement(rowsAtOnce))
		if err != nil {
			return err
		}
		defer batch.Close()
		for range full {
			if _, err := batch.ExecContext(ctx, args[:rowsAtOnce*width]...); err != nil {
				return err
			}
			args = args[rowsAtOnce*width:]
		}
	}
	if rest == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, r.statement(rest/width), args...)
	return err
}

// statement inserts n rows. SQLite finds a parameter with a number through a
// list of all names, which is quadratic; one without a number it just counts.
func (r *rows) statement(n int) string {
	row := "(?" + strings.Repeat(", ?", len(r.columns)-1) + ")"
	return "INSERT INTO " + r.table + " (" + strings.Join(r.columns, ", ") + ") VALUES " + row + strings.Repeat(", "+row, n-1)
}

func integer(b bool) int {
	if b {
		return 1
	}
	return 0
}

func pack(data []byte) ([]byte, error) {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, maxText+1))
	if err == nil && len(data) > maxText {
		err = fmt.Errorf("a text of more than %d MiB", maxText>>20)
	}
	return data, err
}
