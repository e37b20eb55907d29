package session

// tableNames are the tables of a session database in the order of reports.
func tableNames() []string {
	return []string{"net_events", "model_calls", "tool_calls", "tool_responses", "mcp_calls", "fs_events"}
}

// schema makes the tables. Of model_calls it has the columns that reports use;
// nothing here writes model calls.
const schema = `
CREATE TABLE net_events (
	id INTEGER PRIMARY KEY,
	timestamp TEXT NOT NULL,
	domain TEXT NOT NULL,
	port INTEGER DEFAULT 443,
	decision TEXT NOT NULL,
	process_name TEXT,
	pid INTEGER,
	method TEXT,
	path TEXT,
	query TEXT,
	status_code INTEGER,
	bytes_sent INTEGER DEFAULT 0,
	bytes_received INTEGER DEFAULT 0,
	duration_ms INTEGER DEFAULT 0,
	matched_rule TEXT,
	request_headers TEXT,
	response_headers TEXT,
	request_body_preview TEXT,
	response_body_preview TEXT,
	conn_type TEXT DEFAULT 'https',
	duration_us INTEGER
);
CREATE TABLE model_calls (
	id INTEGER PRIMARY KEY,
	timestamp TEXT NOT NULL,
	provider TEXT,
	model TEXT,
	input_tokens INTEGER,
	output_tokens INTEGER,
	duration_ms INTEGER DEFAULT 0,
	estimated_cost_usd REAL DEFAULT 0,
	trace_id TEXT,
	usage_details TEXT
);
CREATE TABLE tool_calls (
	id INTEGER PRIMARY KEY,
	model_call_id INTEGER NOT NULL REFERENCES model_calls (id),
	call_index INTEGER NOT NULL,
	call_id TEXT NOT NULL,
	tool_name TEXT NOT NULL,
	arguments TEXT,
	origin TEXT NOT NULL DEFAULT 'native',
	mcp_call_id INTEGER REFERENCES mcp_calls (id)
);
CREATE TABLE tool_responses (
	id INTEGER PRIMARY KEY,
	model_call_id INTEGER NOT NULL REFERENCES model_calls (id),
	call_id TEXT NOT NULL,
	content_preview TEXT,
	is_error INTEGER DEFAULT 0
);
CREATE TABLE mcp_calls (
	id INTEGER PRIMARY KEY,
	timestamp TEXT NOT NULL,
	server_name TEXT NOT NULL,
	method TEXT NOT NULL,
	tool_name TEXT,
	request_id TEXT,
	request_preview TEXT,
	response_preview TEXT,
	decision TEXT NOT NULL,
	duration_ms INTEGER DEFAULT 0,
	error_message TEXT,
	process_name TEXT,
	bytes_sent INTEGER DEFAULT 0,
	bytes_received INTEGER DEFAULT 0,
	duration_us INTEGER
);
CREATE TABLE fs_events (
	id INTEGER PRIMARY KEY,
	timestamp TEXT NOT NULL,
	action TEXT NOT NULL CHECK (action IN ('created', 'modified', 'deleted')),
	path TEXT NOT NULL,
	size INTEGER
);
`

const insertNetEvent = `INSERT INTO net_events (timestamp, domain, port, decision, process_name, method, path, query,
	status_code, bytes_sent, bytes_received, duration_ms, matched_rule, request_headers, response_headers,
	request_body_preview, response_body_preview, conn_type, duration_us)
	VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`

const insertMCPCall = `INSERT INTO mcp_calls (timestamp, server_name, method, tool_name, request_id, request_preview,
	response_preview, decision, duration_ms, error_message, process_name, bytes_sent, bytes_received, duration_us)
	VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)`
