package corral

import "time"

// Client is what Corral needs of a Redis library. Packages goredis and rueidiscorral make one; whoever has another
// library can, too. Whatever a library does for its users by itself (sending again, reconnecting behind a call) must be
// off: an answer must never meet another question than its own.
type Client interface {
	// Where it connects to, for error messages.
	Where() string
	// Seeds are the addresses from which the slots are read if it may be a cluster; none if it is not.
	Seeds() []string
	// Node is the way to one server: to this address, or, if it is empty, to the one that the client is for (with
	// Sentinel the master of the moment). It talks to no server yet.
	Node(address string, settings NodeSettings) Node
}

// NodeSettings are what Corral wants of the connections to a server.
type NodeSettings struct {
	// ReadTimeout is the silence after which a call fails.
	ReadTimeout time.Duration
	// Heard, if there is one, is to be told of keys that changed (CLIENT TRACKING); or, with all, that any may have.
	Heard func(key string, all bool)
}

// Node is one server. Replies are string, int64, nil, []any and maps; an error that the server answered is a
// *ServerError, any other error means that there was no answer.
type Node interface {
	// Do asks over a connection that is shared, or of a pool. It never blocks in the server.
	Do(args []string) (any, error)
	// Open makes a connection for one caller alone. What is wrong with it may show at its first call.
	Open() (Conn, error)
	// Tracks says whether Heard is told of what was read by Do.
	Tracks() bool
	Close()
}

// Conn is a connection that one caller holds.
type Conn interface {
	Do(limit time.Duration, args []string) (any, error)
	// Close closes the socket at once, also under a call, which then fails.
	Close()
}
