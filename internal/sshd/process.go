package sshd

import (
	"cmp"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// outputGrace is how long after the end of its command a session waits for
// output that something else still holds open: long enough for the end of a
// pipeline to be written, and nobody waits for it at a prompt.
const outputGrace = 2 * time.Second

// maxLateOutput is what may come after the end of the command: a pipe holds
// 64 KiB, and 1 MiB where a program asked for it (pipe(7)).
const maxLateOutput = 1 << 20

// result is how a process ended.
type result struct {
	status int
	signal string // the signal that ended it, without SIG, or ""
	core   bool
}

// process is the command of a session.
type process struct {
	cmd    *exec.Cmd
	stdin  *os.File // what the client sends goes here
	stdout *os.File
	stderr *os.File // nil with a terminal
	term   *terminal
	grace  time.Duration // for output that something else holds open

	mu    sync.Mutex
	ended bool // reaped: its pid may belong to another
}

// startProcess starts a command, or a login shell, in a session of its own.
func startProcess(cfg Config, kind, command string, env []string, term *terminal) (*process, error) {
	cmd := exec.Command(cfg.Shell, "-c", command)
	if kind == "shell" {
		cmd.Args = []string{"-" + filepath.Base(cfg.Shell)}
	}
	cmd.Dir = cfg.Dir
	cmd.Env = mergeEnv(cfg.Env, env)
	p := &process{cmd: cmd, term: term, grace: cmp.Or(cfg.Grace, outputGrace)}
	if err := newSession(cmd, term != nil); err != nil {
		return nil, err
	}
	if term != nil {
		return p, p.startOnTerminal()
	}
	return p, p.startOnPipes()
}

func (p *process) startOnTerminal() error {
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = p.term.slave, p.term.slave, p.term.slave
	p.stdin, p.stdout = p.term.master, p.term.master
	err := p.cmd.Start()
	_ = p.term.slave.Close() // so that the master sees the end of the last user
	return err
}

// startOnPipes gives the process pipes of ours, not those of exec.Cmd, whose
// Wait would wait for the copying too.
func (p *process) startOnPipes() error {
	var ends []*os.File
	pipe := func() (r, w *os.File, err error) {
		r, w, err = os.Pipe()
		if err == nil {
			ends = append(ends, r, w)
		}
		return r, w, err
	}
	inR, inW, err1 := pipe()
	outR, outW, err2 := pipe()
	errR, errW, err3 := pipe()
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			closeAll(ends...)
			return err
		}
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = inR, outW, errW
	p.stdin, p.stdout, p.stderr = inW, outR, errR
	if err := p.cmd.Start(); err != nil {
		closeAll(ends...)
		return err
	}
	closeAll(inR, outW, errW)
	return nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// run copies between the process and the channel until the process has ended
// and its output is sent. What is left of its session is killed then.
func (p *process) run(ch gossh.Channel) result {
	go p.feed(ch) // ends with the channel's input, or when stdin is closed below
	ended := make(chan struct{})
	var out sync.WaitGroup
	out.Go(func() { p.drain(ch, p.stdout, ended) })
	if p.stderr != nil {
		out.Go(func() { p.drain(ch.Stderr(), p.stderr, ended) })
	}
	awaitEnd(p.cmd.Process.Pid)
	close(ended)
	for _, f := range []*os.File{p.stdout, p.stderr} {
		if f != nil {
			_ = f.SetReadDeadline(time.Now().Add(p.grace)) // wakes a drain that waits
		}
	}
	out.Wait()
	r := p.reap()
	if p.term == nil { // the session closes the terminal
		closeAll(p.stdin, p.stdout, p.stderr)
	}
	return r
}

// drain sends what the process prints, however slowly the client reads. When the
// process has ended and nothing comes for its grace, the rest of its session is
// killed. If a process outside of it still holds the pipe, the pipe is closed.
func (p *process) drain(dst io.Writer, src *os.File, ended <-chan struct{}) {
	buf := make([]byte, 32<<10)
	late, killed := 0, false
	for late <= maxLateOutput {
		over := false
		select {
		case <-ended:
			over = true
			_ = src.SetReadDeadline(time.Now().Add(p.grace))
		default:
		}
		n, err := src.Read(buf)
		if over {
			late += n
		}
		if _, werr := dst.Write(buf[:n]); werr != nil {
			return
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && !killed:
			p.kill()
			killed = true
		default: // a terminal without users fails with EIO, which is its end
			return
		}
	}
}

// feed hands on what the client sends. The end of it is the end of stdin; on a
// terminal, which has no end, it is the character that stands for it.
func (p *process) feed(ch gossh.Channel) {
	_, err := io.Copy(p.stdin, ch)
	if p.term == nil {
		_ = p.stdin.Close()
	} else if err == nil {
		p.term.sendEOF()
	}
}

// reap kills what is left of the session, then waits for its leader, in this
// order: as long as the leader is not reaped its pid belongs to nobody else.
func (p *process) reap() result {
	p.mu.Lock()
	defer p.mu.Unlock()
	killSession(p.cmd.Process.Pid)
	_ = p.cmd.Wait()
	p.ended = true
	return resultOf(p.cmd.ProcessState)
}

// kill kills every process of the session.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		killSession(p.cmd.Process.Pid)
	}
}

// signal sends a signal, named without SIG, to the command's process group.
func (p *process) signal(name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return os.ErrProcessDone
	}
	return signalGroup(p.cmd.Process.Pid, name)
}
