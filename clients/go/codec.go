package corral

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
)

// Codec makes bytes of values. Decode is given bytes that nobody else has, and a pointer to the value.
type Codec interface {
	Encode(value any) ([]byte, error)
	Decode(data []byte, value any) error
}

var (
	// JSON is the default.
	JSON Codec = jsonCodec{}
	// Bytes stores []byte and string as they are.
	Bytes Codec = bytesCodec{}
	// Gob is encoding/gob's, which only Go reads.
	Gob Codec = gobCodec{}
)

type jsonCodec struct{}

func (jsonCodec) Encode(value any) ([]byte, error)    { return json.Marshal(value) }
func (jsonCodec) Decode(data []byte, value any) error { return json.Unmarshal(data, value) }

type bytesCodec struct{}

func (bytesCodec) Encode(value any) ([]byte, error) {
	switch value := value.(type) {
	case []byte:
		return value, nil
	case string:
		return []byte(value), nil
	}
	return nil, fmt.Errorf("corral.Bytes stores []byte and string, not %T", value)
}

func (bytesCodec) Decode(data []byte, value any) error {
	switch value := value.(type) {
	case *[]byte:
		*value = data
	case *string:
		*value = string(data)
	case *any:
		*value = data
	default:
		return fmt.Errorf("corral.Bytes reads into []byte and string, not %T", value)
	}
	return nil
}

type gobCodec struct{}

func (gobCodec) Encode(value any) ([]byte, error) {
	var buffer bytes.Buffer
	err := gob.NewEncoder(&buffer).Encode(value)
	return buffer.Bytes(), err
}

func (gobCodec) Decode(data []byte, value any) error {
	return gob.NewDecoder(bytes.NewReader(data)).Decode(value)
}
