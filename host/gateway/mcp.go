package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	protocolVersion = "2024-11-05"
	serverName      = "capsem-mcp-gateway"
)

// The methods that there are, beside the notification initialized.
const (
	methodInitialize    = "initialize"
	methodPing          = "ping"
	methodTools         = "tools/list"
	methodCall          = "tools/call"
	methodResources     = "resources/list"
	methodReadResource  = "resources/read"
	methodPrompts       = "prompts/list"
	methodGetPrompt     = "prompts/get"
	unsupportedPrefix   = "unsupported/" // of a method that there is not
	codeMethodNotFound  = jsonrpc.CodeMethodNotFound
	codeInvalidParams   = jsonrpc.CodeInvalidParams
	codeInternal        = jsonrpc.CodeInternalError
	emptyParams         = "{}"
	internalTaskFailure = "file tool task failed: "
)

// sessionOptions make a session that is past its beginning: Capsem's gateway
// has no state, and answers any method at any time.
func sessionOptions() *mcp.ServerSessionOptions {
	return &mcp.ServerSessionOptions{State: &mcp.ServerSessionState{
		InitializeParams:          &mcp.InitializeParams{ProtocolVersion: protocolVersion, Capabilities: &mcp.ClientCapabilities{}},
		InitializedParams:         &mcp.InitializedParams{},
		NegotiatedProtocolVersion: protocolVersion,
	}}
}

// newServer makes the SDK's server with our tools.
func (g *Gateway) newServer() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: serverName, Version: g.cfg.Version}, &mcp.ServerOptions{
		Capabilities:              &mcp.ServerCapabilities{},
		SupportedProtocolVersions: []string{protocolVersion},
		Logger:                    g.cfg.Log,
	})
	for _, t := range callable() {
		s.AddTool(t.sdk(), g.handler(t))
	}
	s.AddReceivingMiddleware(g.capsem)
	return s
}

// handler makes the SDK's handler of a tool.
func (g *Gateway) handler(t tool) mcp.ToolHandler {
	return func(ctx context.Context, req *mcp.CallToolRequest) (result *mcp.CallToolResult, err error) {
		defer func() {
			if p := recover(); p != nil {
				g.cfg.Log.Error("a tool panicked", "tool", t.name, "panic", p)
				result, err = nil, &jsonrpc.Error{Code: codeInternal, Message: fmt.Sprint(internalTaskFailure, p)}
			}
		}()
		// A request ends with its connection, not with the context of the SDK,
		// which ends when the guest has nothing more to ask.
		c, ok := ctx.Value(connKey{}).(*conn)
		if !ok {
			return nil, errors.New("a request without a connection")
		}
		text, err := t.call(c.ctx, asked{g.store, c}, arguments(req.Params.Arguments))
		if err != nil {
			return nil, toolError(err)
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil
	}
}

// A raw is a result that is JSON already.
type raw struct {
	mcp.ResultBase
	text json.RawMessage
}

func (r *raw) MarshalJSON() ([]byte, error) { return r.text, nil }

// capsem answers as Capsem does where the SDK would do otherwise: it sorts
// tools by name, negotiates versions and has keys in another order.
func (g *Gateway) capsem(next mcp.MethodHandler) mcp.MethodHandler {
	list := &raw{text: toolList()}
	hello := &raw{text: g.hello()}
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		switch method {
		case methodInitialize:
			return hello, nil
		case methodTools:
			return list, nil
		case methodPing:
			return &raw{text: json.RawMessage(emptyParams)}, nil
		case methodResources:
			return &raw{text: json.RawMessage(`{"resources":[]}`)}, nil
		case methodPrompts:
			return &raw{text: json.RawMessage(`{"prompts":[]}`)}, nil
		}
		if err := refuse(method, req); err != nil {
			return nil, err
		}
		result, err := next(ctx, method, req)
		if err != nil {
			return nil, err
		}
		return inOrder(result)
	}
}

// refuse returns the error of a request that no handler shall see.
func refuse(method string, req mcp.Request) error {
	switch p := req.GetParams().(type) {
	case *mcp.CallToolParamsRaw:
		switch {
		case p.Name == "":
			return &jsonrpc.Error{Code: codeInvalidParams, Message: "missing tool name"}
		case !isTool(p.Name):
			return &jsonrpc.Error{Code: codeInternal, Message: "tool call failed: unknown tool: " + p.Name}
		}
	case *mcp.ReadResourceParams:
		if p.URI == "" {
			return &jsonrpc.Error{Code: codeInvalidParams, Message: "missing resource uri"}
		}
		return &jsonrpc.Error{Code: codeInternal, Message: "resource read failed: unknown resource: " + p.URI}
	case *mcp.GetPromptParams:
		if p.Name == "" {
			return &jsonrpc.Error{Code: codeInvalidParams, Message: "missing prompt name"}
		}
		return &jsonrpc.Error{Code: codeInternal, Message: "prompt get failed: unknown prompt: " + p.Name}
	}
	return nil
}

// inOrder gives a tool's result Capsem's order of keys.
func inOrder(result mcp.Result) (mcp.Result, error) {
	r, ok := result.(*mcp.CallToolResult)
	if !ok {
		return result, nil
	}
	type block struct {
		Text string `json:"text"`
		Type string `json:"type"`
	}
	out := struct {
		Content []block `json:"content"`
	}{Content: []block{}}
	for _, c := range r.Content {
		if t, ok := c.(*mcp.TextContent); ok {
			out.Content = append(out.Content, block{Text: t.Text, Type: "text"})
		}
	}
	text, err := marshal(out)
	return &raw{text: text}, err
}

// hello is the result of initialize.
func (g *Gateway) hello() json.RawMessage {
	type none struct{}
	text, _ := marshal(struct { // of texts only
		Capabilities struct {
			Prompts   none `json:"prompts"`
			Resources none `json:"resources"`
			Tools     none `json:"tools"`
		} `json:"capabilities"`
		Version string `json:"protocolVersion"`
		Server  struct {
			Name    string `json:"name"`
			Version string `json:"version"`
		} `json:"serverInfo"`
	}{Version: protocolVersion, Server: struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}{serverName, g.cfg.Version}})
	return text
}

// sdkRequest returns the method and the parameters that the SDK is given:
// those keys that the method has, and of a method that Capsem does not have a
// name that the SDK does not have either.
func sdkRequest(r *request) (method string, params json.RawMessage) {
	var p struct {
		Name      any             `json:"name"`
		URI       any             `json:"uri"`
		Arguments json.RawMessage `json:"arguments"`
	}
	_ = json.Unmarshal(r.params, &p) // what is no object has no keys
	var out struct {
		Name      string          `json:"name,omitempty"`
		URI       string          `json:"uri,omitempty"`
		Arguments json.RawMessage `json:"arguments,omitempty"`
	}
	switch r.method {
	case initialized, methodInitialize, methodPing, methodTools, methodResources, methodPrompts:
		return r.method, json.RawMessage(emptyParams)
	case methodCall:
		out.Name, _ = p.Name.(string)
		r.tool, out.Arguments = out.Name, p.Arguments
	case methodReadResource:
		out.URI, _ = p.URI.(string)
	case methodGetPrompt:
		out.Name, _ = p.Name.(string)
	default:
		return unsupportedPrefix + r.method, json.RawMessage(emptyParams)
	}
	params, _ = marshal(out) // its parts are JSON
	return r.method, params
}

// wireError returns the error of an answer as Capsem words it.
func wireError(r *request, err error) *jsonrpc.Error {
	if err == nil {
		return nil
	}
	var e *jsonrpc.Error
	if !errors.As(err, &e) {
		return &jsonrpc.Error{Code: codeInternal, Message: err.Error()}
	}
	if e.Code == codeMethodNotFound {
		return &jsonrpc.Error{Code: e.Code, Message: "method not found: " + r.method}
	}
	return e
}
