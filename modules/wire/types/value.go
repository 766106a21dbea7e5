package types

// Class says which field of a Value is set.
type Class uint8

// The storage classes of SQLite.
const (
	Null Class = iota
	Int
	Float
	String
	Blob
)

// Value is one value as SQLite stores it. B may point into memory that is only valid until the next row: keep a copy.
type Value struct {
	Class Class
	I     int64   // Int
	F     float64 // Float
	B     []byte  // String, Blob
}

// IntValue, FloatValue, StringValue and BlobValue make a Value; the zero Value is NULL.
func IntValue(i int64) Value     { return Value{Class: Int, I: i} }
func FloatValue(f float64) Value { return Value{Class: Float, F: f} }
func StringValue(s string) Value { return Value{Class: String, B: []byte(s)} }
func BlobValue(b []byte) Value   { return Value{Class: Blob, B: b} }

// BoolValue returns 1 or 0.
func BoolValue(b bool) Value {
	if b {
		return IntValue(1)
	}
	return IntValue(0)
}

// IsNull reports whether v is NULL.
func (v Value) IsNull() bool { return v.Class == Null }

// Clone returns v with memory of its own.
func (v Value) Clone() Value {
	if v.B != nil {
		v.B = append(make([]byte, 0, len(v.B)), v.B...)
	}
	return v
}
