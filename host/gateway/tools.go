package gateway

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/capsem/capsem-bench/host/internal/snapshot"
)

// A tool is one that guests can call.
type tool struct {
	name, description string
	schema            string // JSON of its arguments
	hints             hints
	call              func(context.Context, asked, args) (string, error)
}

// asked is where a call came from, and the store that it is about.
type asked struct {
	*snapshot.Store
	conn *conn
}

// The hints are MCP's annotations; all are sent, also those that are false.
type hints struct {
	Title       string `json:"title"`
	ReadOnly    bool   `json:"readOnlyHint"`
	Destructive bool   `json:"destructiveHint"`
	Idempotent  bool   `json:"idempotentHint"`
	OpenWorld   bool   `json:"openWorldHint"`
}

// pageArguments are those of a tool whose text may be long.
const pageArguments = `"format":{"description":"text is a table, json is for programs","enum":["text","json"],"type":"string"},` +
	`"max_length":{"description":"longest part of the text to return, in bytes; 5000 if not given, but json comes whole","type":"integer"},` +
	`"start_index":{"description":"where that part begins","type":"integer"}`

const checkpointArgument = `"checkpoint":{"description":"checkpoint, such as cp-10","type":"string"}`

// tools returns all of them, in Capsem's order.
func tools() []tool {
	readOnly := func(title string) hints { return hints{Title: title, ReadOnly: true, Idempotent: true} }
	return []tool{
		{
			"snapshots_changes", "Lists the files of the workspace that differ from its snapshots.",
			`{"properties":{` + pageArguments + `},"type":"object"}`, readOnly("Changed files"), changes,
		}, {
			"snapshots_list", "Lists the snapshots of the workspace, newest first, with what changed between them.",
			`{"properties":{` + pageArguments + `},"type":"object"}`, readOnly("List snapshots"), list,
		}, {
			"snapshots_revert", "Makes a file of the workspace what it is in a snapshot: by default the newest one that has it.",
			`{"properties":{` + checkpointArgument + `,"path":{"description":"file, relative to the workspace","type":"string"}},"required":["path"],"type":"object"}`,
			hints{Title: "Revert a file", Destructive: true, Idempotent: true},
			revert,
		}, {
			"snapshots_create", "Takes a snapshot of the workspace.",
			`{"properties":{"name":{"description":"1 to 64 letters, digits, underscores or hyphens","type":"string"}},"required":["name"],"type":"object"}`,
			hints{Title: "Take a snapshot"},
			create,
		}, {
			"snapshots_delete", "Deletes a snapshot that was taken by hand.",
			`{"properties":{` + checkpointArgument + `},"required":["checkpoint"],"type":"object"}`,
			hints{Title: "Delete a snapshot", Destructive: true, Idempotent: true},
			remove,
		}, {
			"snapshots_history", "Lists the versions of one file in the snapshots.",
			`{"properties":{"path":{"description":"file, relative to the workspace","type":"string"}},"required":["path"],"type":"object"}`,
			readOnly("History of a file"), history,
		}, {
			"snapshots_compact", "Merges snapshots into one that has the newest version of each file, and deletes them.",
			`{"properties":{"checkpoints":{"description":"checkpoints to merge","items":{"type":"string"},"type":"array"},` +
				`"name":{"description":"of the new snapshot","type":"string"}},"required":["checkpoints"],"type":"object"}`,
			hints{Title: "Compact snapshots", Destructive: true},
			compact,
		},
	}
}

// echo is no part of tools/list, which is that of Capsem's gateway when it had
// the snapshots alone; later ones have it. Guests measure with it what a call
// costs.
func echo() tool {
	return tool{
		"local__echo", "Returns its text.", `{"properties":{"text":{"type":"string"}},"required":["text"],"type":"object"}`,
		hints{Title: "Echo", ReadOnly: true, Idempotent: true},
		func(_ context.Context, _ asked, a args) (string, error) { return a.text("text") },
	}
}

// callable returns what tools/call knows.
func callable() []tool { return append(tools(), echo()) }

func isTool(name string) bool {
	for _, t := range callable() {
		if t.name == name {
			return true
		}
	}
	return false
}

// sdk returns the tool as the SDK knows it.
func (t tool) sdk() *mcp.Tool {
	return &mcp.Tool{Name: t.name, Description: t.description, InputSchema: json.RawMessage(t.schema)}
}

// toolList is the result of tools/list.
func toolList() json.RawMessage {
	type listed struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Schema      json.RawMessage `json:"inputSchema"`
		Annotations hints           `json:"annotations"`
	}
	var out struct {
		Tools []listed `json:"tools"`
	}
	for _, t := range tools() {
		out.Tools = append(out.Tools, listed{t.name, t.description, json.RawMessage(t.schema), t.hints})
	}
	text, _ := marshal(out) // a constant
	return text
}

// toolError gives a failure of a tool its code.
func toolError(err error) error {
	var bad badArgument
	var e *snapshot.Error
	switch {
	case errors.As(err, &bad):
		return &jsonrpc.Error{Code: codeInvalidParams, Message: err.Error()}
	case errors.As(err, &e) && e.Kind == snapshot.Invalid:
		return &jsonrpc.Error{Code: codeInvalidParams, Message: err.Error()}
	}
	return &jsonrpc.Error{Code: codeInternal, Message: err.Error()}
}

// A badArgument is an argument that is missing or of the wrong type.
type badArgument string

func (e badArgument) Error() string { return string(e) }

// args are the arguments of a call.
type args map[string]any

// arguments reads them; what is no object has none.
func arguments(raw json.RawMessage) args {
	var a args
	_ = json.Unmarshal(raw, &a)
	return a
}

// text returns an argument that must be there.
func (a args) text(key string) (string, error) {
	s, ok := a[key].(string)
	if !ok {
		return "", badArgument("missing '" + key + "' argument")
	}
	return s, nil
}

// checkpoints returns slots from a list.
func (a args) checkpoints() ([]int, error) {
	list, ok := a["checkpoints"].([]any)
	if !ok {
		return nil, badArgument("missing 'checkpoints' array")
	}
	var slots []int
	for _, v := range list {
		id, ok := v.(string)
		if !ok {
			return nil, badArgument("checkpoint must be a string")
		}
		slot, err := snapshot.ParseID(id)
		if err != nil {
			return nil, err
		}
		slots = append(slots, slot)
	}
	return slots, nil
}
