package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/capsem/capsem-bench/host/internal/snapshot"
	"github.com/capsem/capsem-bench/internal/contract"
)

// asJSON returns a result as text.
func asJSON(v any) (string, error) {
	text, err := marshal(v)
	return string(text), err
}

// pointer makes null of an empty text.
func pointer(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func sizeUnless(gone bool, size int64) *int64 {
	if gone {
		return nil
	}
	return &size
}

// leftOut are the files of the workspace that a snapshot lacks.
type leftOut snapshot.LeftOut

func leftOutOf(info snapshot.Info) *leftOut {
	if info.LeftOut == nil {
		return nil
	}
	l := &leftOut{Count: info.LeftOut.Count}
	for _, row := range info.LeftOut.First {
		l.First = append(l.First, snapshot.LeftOutRow{Path: contract.EscapePath(row.Path), Reason: row.Reason})
	}
	return l
}

// The keys of the results are in the order of Capsem's, which is that of the
// alphabet but for the rows of changes.

func create(ctx context.Context, s asked, a args) (string, error) {
	name, err := a.text("name")
	if err != nil {
		return "", err
	}
	info, available, err := s.Create(ctx, name)
	if err != nil {
		return "", err
	}
	return asJSON(struct {
		Available  int      `json:"available"`
		Checkpoint string   `json:"checkpoint"`
		Hash       string   `json:"hash"`
		LeftOut    *leftOut `json:"left_out,omitempty"`
		Name       string   `json:"name"`
	}{available, snapshot.ID(info.Slot), info.Hash, leftOutOf(info), info.Name})
}

func remove(ctx context.Context, s asked, a args) (string, error) {
	id, err := a.text("checkpoint")
	if err != nil {
		return "", err
	}
	slot, err := snapshot.ParseID(id)
	if err != nil {
		return "", err
	}
	if err := s.Delete(ctx, slot); err != nil {
		return "", err
	}
	return asJSON(struct {
		Checkpoint string `json:"checkpoint"`
		Deleted    bool   `json:"deleted"`
	}{snapshot.ID(slot), true})
}

func revert(ctx context.Context, s asked, a args) (string, error) {
	path, err := a.text("path")
	if err != nil {
		return "", err
	}
	var slot *int
	if v, ok := a["checkpoint"]; ok && v != nil {
		id, ok := v.(string)
		if !ok {
			return "", badArgument("checkpoint must be a string")
		}
		n, err := snapshot.ParseID(id)
		if err != nil {
			return "", err
		}
		slot = &n
	}
	r, err := s.Revert(ctx, contract.UnescapePath(path), slot)
	if err != nil {
		return "", err
	}
	action := "restored"
	if !r.Restored {
		action = "deleted"
	}
	return asJSON(struct {
		Action     string `json:"action"`
		Checkpoint string `json:"checkpoint"`
		Path       string `json:"path"`
		Reverted   bool   `json:"reverted"`
	}{action, snapshot.ID(r.Snapshot.Slot), contract.EscapePath(r.Path), true})
}

func history(ctx context.Context, s asked, a args) (string, error) {
	path, err := a.text("path")
	if err != nil {
		return "", err
	}
	h, err := s.History(ctx, contract.UnescapePath(path))
	if err != nil {
		return "", err
	}
	type version struct {
		Age        string          `json:"age"`
		Checkpoint string          `json:"checkpoint"`
		Name       *string         `json:"name"`
		Origin     snapshot.Origin `json:"origin"`
		Size       *int64          `json:"size"`
		Status     snapshot.Status `json:"status"`
	}
	versions, now := []version{}, time.Now()
	for _, v := range h.Versions {
		versions = append(versions, version{
			age(now, v.Snapshot.Time), snapshot.ID(v.Snapshot.Slot), pointer(v.Snapshot.Name), v.Snapshot.Origin,
			sizeUnless(v.Status == snapshot.StatusDeleted, v.Size), v.Status,
		})
	}
	return asJSON(struct {
		Size     *int64    `json:"current_size"`
		Path     string    `json:"path"`
		Versions []version `json:"versions"`
	}{sizeUnless(!h.Exists, h.Size), contract.EscapePath(h.Path), versions})
}

func compact(ctx context.Context, s asked, a args) (string, error) {
	slots, err := a.checkpoints()
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("compacted_%d", time.Now().Unix())
	if v, ok := a["name"].(string); ok {
		name = v
	}
	c, err := s.Compact(ctx, slots, name)
	if err != nil {
		return "", err
	}
	deleted := []string{}
	for _, slot := range c.Deleted {
		deleted = append(deleted, snapshot.ID(slot))
	}
	return asJSON(struct {
		Checkpoint string   `json:"checkpoint"`
		Compacted  bool     `json:"compacted"`
		Deleted    []string `json:"deleted_checkpoints"`
		Files      int      `json:"files_count"`
		Hash       string   `json:"hash"`
		Merged     int      `json:"merged_count"` // as asked for, repetitions included
		Name       string   `json:"name"`
	}{snapshot.ID(c.Slot), true, deleted, c.Files, c.Hash, len(slots), c.Name})
}

func list(ctx context.Context, s asked, a args) (string, error) {
	l, err := s.List(ctx)
	if err != nil {
		return "", err
	}
	var size int64
	for _, sn := range l.Snapshots {
		for _, c := range sn.Changes {
			size += rowBytes + int64(len(c.Path))
		}
	}
	if err := s.conn.reserve(size); err != nil {
		return "", err
	}
	now := time.Now()
	if a["format"] != "json" {
		return page(listTable(l, now), a, defaultPage), nil
	}
	type change struct {
		Op   snapshot.Op `json:"op"`
		Path string      `json:"path"`
		Size *int64      `json:"size,omitempty"`
	}
	type entry struct {
		Age        string          `json:"age"`
		Changes    []change        `json:"changes"`
		Checkpoint string          `json:"checkpoint"`
		Files      int             `json:"files_count"`
		Hash       *string         `json:"hash"`
		LeftOut    *leftOut        `json:"left_out,omitempty"`
		Name       *string         `json:"name"`
		Origin     snapshot.Origin `json:"origin"`
		Slot       int             `json:"slot"`
	}
	entries := []entry{}
	for _, sn := range l.Snapshots {
		e := entry{
			age(now, sn.Time), []change{}, snapshot.ID(sn.Slot), sn.Files, pointer(sn.Hash), leftOutOf(sn.Info), pointer(sn.Name), sn.Origin, sn.Slot,
		}
		for _, c := range sn.Changes {
			e.Changes = append(e.Changes, change{c.Op, contract.EscapePath(c.Path), sizeUnless(c.Op == snapshot.Deleted, c.Size)})
		}
		entries = append(entries, e)
	}
	text, err := asJSON(struct {
		AutoMax   int     `json:"auto_max"`
		Available int     `json:"manual_available"`
		ManualMax int     `json:"manual_max"`
		Snapshots []entry `json:"snapshots"`
	}{l.AutoMax, l.Available, l.ManualMax, entries})
	return page(text, a, whole), err
}

func changes(ctx context.Context, s asked, a args) (string, error) {
	rows, err := s.Changes(ctx)
	if err != nil {
		return "", err
	}
	if rows == nil {
		return "No checkpoints available yet.", nil
	}
	var size int64
	for _, d := range rows {
		size += rowBytes + int64(len(d.Path))
	}
	if err := s.conn.reserve(size); err != nil {
		return "", err
	}
	now := time.Now()
	if a["format"] != "json" {
		return page(changesTable(rows), a, defaultPage), nil
	}
	type row struct {
		Path       string          `json:"path"`
		Op         snapshot.Op     `json:"op"`
		Size       *int64          `json:"size"`
		Checkpoint string          `json:"checkpoint"`
		Age        string          `json:"checkpoint_age"`
		Origin     snapshot.Origin `json:"checkpoint_origin"`
		Name       *string         `json:"checkpoint_name"`
	}
	out := []row{}
	for _, d := range rows {
		out = append(out, row{
			contract.EscapePath(d.Path), d.Op, sizeUnless(d.Op == snapshot.Deleted, d.Size), snapshot.ID(d.Snapshot.Slot),
			age(now, d.Snapshot.Time), d.Snapshot.Origin, pointer(d.Snapshot.Name),
		})
	}
	text, err := asJSON(out)
	return page(text, a, whole), err
}
