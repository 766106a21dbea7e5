package pgcopy

import (
	"bytes"
	"encoding/binary"
)

// AppendHeader appends what stands before the rows.
func (o *Options) AppendHeader(dst []byte) []byte {
	if o.Format == Binary {
		dst = append(dst, binarySignature...)
		return append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	if !o.Header {
		return dst
	}
	for i, name := range o.Columns {
		if i > 0 {
			dst = append(dst, o.Delimiter)
		}
		if o.Format == CSV {
			dst = o.appendCSV(dst, []byte(name), false, len(o.Columns) == 1)
		} else {
			dst = o.appendText(dst, []byte(name))
		}
	}
	return append(dst, '\n')
}

// AppendTrailer appends what stands behind the rows.
func (o *Options) AppendTrailer(dst []byte) []byte {
	if o.Format == Binary {
		return append(dst, 0xff, 0xff)
	}
	return dst
}

// AppendRow appends a row. value appends the text of value i, or its binary form in binary format, and tells whether it
// isn't NULL; scratch is memory that it may use again.
func (o *Options) AppendRow(dst []byte, scratch *[]byte, value func(dst []byte, i int) ([]byte, bool, error)) ([]byte, error) {
	if o.Format == Binary {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(o.Columns)))
	}
	for i := range o.Columns {
		v, ok, err := value((*scratch)[:0], i)
		if err != nil {
			return dst, err
		}
		*scratch = v
		switch {
		case o.Format == Binary && !ok:
			dst = append(dst, 0xff, 0xff, 0xff, 0xff)
			continue
		case o.Format == Binary:
			dst = binary.BigEndian.AppendUint32(dst, uint32(len(v)))
			dst = append(dst, v...)
			continue
		case i > 0:
			dst = append(dst, o.Delimiter)
		}
		switch {
		case !ok:
			dst = append(dst, o.Null...)
		case o.Format == CSV:
			dst = o.appendCSV(dst, v, is(o.ForceQuote, i), len(o.Columns) == 1)
		default:
			dst = o.appendText(dst, v)
		}
	}
	if o.Format != Binary {
		dst = append(dst, '\n')
	}
	return dst, nil
}

func (o *Options) appendText(dst, v []byte) []byte {
	for _, c := range v {
		switch c {
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\v':
			dst = append(dst, '\\', 'v')
		case '\\', o.Delimiter:
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendCSV quotes what would be read as something else without. alone: the row has no other column.
func (o *Options) appendCSV(dst, v []byte, force, alone bool) []byte {
	if !force && string(v) != o.Null && !(alone && string(v) == `\.`) &&
		bytes.IndexByte(v, o.Delimiter) < 0 && bytes.IndexByte(v, o.Quote) < 0 && bytes.IndexByte(v, '\n') < 0 && bytes.IndexByte(v, '\r') < 0 {
		return append(dst, v...)
	}
	dst = append(dst, o.Quote)
	for _, c := range v {
		if c == o.Quote || c == o.Escape {
			dst = append(dst, o.Escape)
		}
		dst = append(dst, c)
	}
	return append(dst, o.Quote)
}
