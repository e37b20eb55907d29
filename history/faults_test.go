package history

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/history/internal/pgtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// killedVariable makes the test binary a process that adds runs until it is
// killed.
const killedVariable = "CAPSEM_HISTORY_TEST_STORE"

// TestAddUntilKilled is the child of TestKilledWhileAdding.
func TestAddUntilKilled(t *testing.T) {
	where := os.Getenv(killedVariable)
	if where == "" {
		return // not the child
	}
	s := openStore(t, where)
	for day := 1; ; day++ {
		seed := uint64(os.Getpid()*1000 + day)
		if _, _, err := s.Add(t.Context(), aRun(t, seed, 1+day%28, 2, Labels{"release": strconv.Itoa(day)}, nil)); err != nil {
			t.Fatal(err)
		}
		fmt.Println("added")
	}
}

// A run is in the store whole or not at all, whenever its writer is killed.
func TestKilledWhileAdding(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		openStore(t, where)
		for i := range 4 {
			child := exec.Command(os.Args[0], "-test.run=^TestAddUntilKilled$")
			child.Env = append(os.Environ(), killedVariable+"="+where)
			out, err := child.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, child.Start())
			line := make([]byte, 6)
			_, err = out.Read(line) // the first run is there
			require.NoError(t, err)
			select { // and some way into one of the next
			case <-time.After(time.Duration(7*(i+1)) * time.Millisecond):
			case <-t.Context().Done():
			}
			require.NoError(t, child.Process.Kill())
			_ = child.Wait()
		}
		s := openStore(t, where)
		runs, err := s.Runs(t.Context(), Filter{})
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(runs), 4)
		for _, r := range runs {
			assert.Equal(t, 2, r.Boots, "run %d", r.ID)
			_, err := s.Documents(t.Context(), r.ID)
			require.NoError(t, err)
		}
		var boots, metrics, figures int // at one time: PostgreSQL may still be committing for the last child
		require.NoError(t, s.db.QueryRowContext(t.Context(),
			"SELECT (SELECT count(*) FROM boots), (SELECT count(*) FROM metrics), (SELECT count(*) FROM figures)").Scan(&boots, &metrics, &figures))
		assert.Equal(t, boots*metrics, figures)
		if s.dialect.name == "SQLite" {
			var state string
			require.NoError(t, s.db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&state))
			assert.Equal(t, "ok", state)
		}
		_, added, err := s.Add(t.Context(), aRun(t, 1, 1, 1, nil, nil))
		require.NoError(t, err)
		assert.True(t, added, "the next writer goes on")
	})
}

// SQLite reports a file that may not grow as it does a full disk.
func TestFullDisk(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "history.db"))
	add(t, s, aRun(t, 1, 1, 1, nil, nil))
	s.db.SetMaxOpenConns(1) // the limit is a connection's
	var pages int
	require.NoError(t, s.db.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages))
	_, err := s.db.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages))
	require.NoError(t, err)
	_, _, err = s.Add(t.Context(), aRun(t, 2, 2, 3, nil, nil))
	require.ErrorContains(t, err, "the disk is full; the store is as it was before")
	assert.Equal(t, 1, count(t, s, "runs"))
	assert.Equal(t, 1, count(t, s, "boots"))
	_, err = s.db.ExecContext(t.Context(), "PRAGMA max_page_count = 1000000")
	require.NoError(t, err)
	add(t, s, aRun(t, 2, 2, 3, nil, nil))
}

func TestInterruptedAdd(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err := s.Add(ctx, aRun(t, 1, 1, 1, nil, nil))
		require.True(t, errors.Is(err, context.Canceled), err)
		assert.Zero(t, count(t, s, "runs"))
	})
}

// A text that was changed behind the store's back is not handed out as what
// was measured.
func TestChangedTextIsNoticed(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		id := add(t, s, aRun(t, 1, 1, 1, nil, nil))
		packed, err := pack([]byte("BenchmarkDisk/op=seq_read 1 1 ns/op\n"))
		require.NoError(t, err)
		_, err = s.db.ExecContext(t.Context(), "UPDATE texts SET gzip = $1", packed)
		require.NoError(t, err)
		_, err = s.Documents(t.Context(), id)
		assert.ErrorContains(t, err, "its digest differs")
	})
}

// What the server of a shared store answers is said in words, and nothing of the
// run is kept.
func TestFaultsOfTheServer(t *testing.T) {
	pg, err := server()
	if errors.Is(err, pgtest.ErrNotInstalled) {
		t.Skip(err)
	}
	require.NoError(t, err)
	for name, tt := range map[string]struct{ when, want string }{
		"full disk":  {"RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'", "the server's disk is full; the store is as it was before"},
		"terminated": {"PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(60)", "the server ended the connection; a run is in the store whole or not at all"},
		"privileges": {"RAISE EXCEPTION 'permission denied' USING ERRCODE = 'insufficient_privilege'", "the store is read-only for this user"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openStore(t, pg.Database(t))
			add(t, s, aRun(t, 1, 1, 1, nil, nil))
			for _, q := range []string{
				"CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + tt.when + "; RETURN NEW; END $$",
				"CREATE TRIGGER fault BEFORE INSERT ON samples FOR EACH STATEMENT EXECUTE FUNCTION fault()",
			} {
				_, err := s.db.ExecContext(t.Context(), q)
				require.NoError(t, err)
			}
			_, _, err := s.Add(t.Context(), aRun(t, 2, 2, 2, nil, nil))
			require.ErrorContains(t, err, tt.want)
			for table, want := range map[string]int{"runs": 1, "boots": 1, "texts": 1} {
				assert.Equal(t, want, count(t, s, table), table)
			}
			_, err = s.db.ExecContext(t.Context(), "DROP TRIGGER fault ON samples")
			require.NoError(t, err)
			add(t, s, aRun(t, 2, 2, 2, nil, nil))
		})
	}
}

// A standby, or a database for reading, is read and not written.
func TestReadOnlyServerIsRead(t *testing.T) {
	pg, err := server()
	if errors.Is(err, pgtest.ErrNotInstalled) {
		t.Skip(err)
	}
	require.NoError(t, err)
	where := pg.Database(t)
	s := openStore(t, where)
	add(t, s, aRun(t, 1, 1, 1, nil, nil))
	var name string
	require.NoError(t, s.db.QueryRowContext(t.Context(), "SELECT current_database()").Scan(&name))
	_, err = s.db.ExecContext(t.Context(), "ALTER DATABASE "+name+" SET default_transaction_read_only = on")
	require.NoError(t, err)
	s = openStore(t, where)
	runs, err := s.Runs(t.Context(), Filter{})
	require.NoError(t, err)
	assert.Len(t, runs, 1)
	_, _, err = s.Add(t.Context(), aRun(t, 2, 2, 1, nil, nil))
	require.ErrorIs(t, err, ErrReadOnly)
	assert.Equal(t, 1, count(t, s, "runs"))
}

// Text of a guest that a database would not take is kept readable: a byte 0,
// which PostgreSQL has in no text, and what is no UTF-8.
func TestTextThatADatabaseRefuses(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		run := aRun(t, 1, 1, 1, Labels{"release": "1"}, nil)
		run.Name = "name\x00\xff"
		b := &run.Boots[0]
		b.Name, b.Run.Hostname, b.Run.CPU, b.Run.Kernel = "boot\x00\xff", "h\x00", "c\xff", "k\x00\x00"
		for _, res := range b.Ops {
			res.Reason = "why\x00\xfe"
		}
		add(t, s, run)
		runs, err := s.Runs(t.Context(), Filter{})
		require.NoError(t, err)
		assert.Equal(t, `name\x00\xff`, runs[0].Name)
		trends, err := s.Trends(t.Context(), Query{Detector: DefaultDetector()})
		require.NoError(t, err)
		assert.Equal(t, `c\xff`, trends[0].Lines[0].Environment.CPU)
	})
}
