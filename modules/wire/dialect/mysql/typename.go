package mysql

import (
	"strconv"
	"strings"

	parsermysql "github.com/pingcap/tidb/pkg/parser/mysql"
	parsertypes "github.com/pingcap/tidb/pkg/parser/types"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/types"
)

func isBinary(t *parsertypes.FieldType) bool { return t.GetCharset() == "binary" }

// columnType maps the type of a column. Declared is how SHOW CREATE TABLE writes it.
func columnType(ft *parsertypes.FieldType) ir.TypeName {
	t := types.Type{Unsigned: ft.GetFlag()&parsermysql.UnsignedFlag != 0}
	flen, dec := ft.GetFlen(), ft.GetDecimal()
	word, args := "", ""
	size := func(n int) {
		if n >= 0 {
			args = "(" + strconv.Itoa(n) + ")"
		}
	}
	fraction := func(k types.Kind) {
		t.Kind, t.Len = k, 1
		if dec > 0 {
			t.Len = int32(dec) + 1
			size(dec)
		}
	}
	switch ft.GetType() {
	case parsermysql.TypeTiny:
		t.Kind, word = types.Int1, "tinyint"
		size(flen)
	case parsermysql.TypeShort:
		t.Kind, word = types.Int2, "smallint"
		size(flen)
	case parsermysql.TypeInt24:
		t.Kind, word = types.Int3, "mediumint"
		size(flen)
	case parsermysql.TypeLong:
		t.Kind, word = types.Int4, "int"
		size(flen)
	case parsermysql.TypeLonglong:
		t.Kind, word = types.Int8, "bigint"
		size(flen)
	case parsermysql.TypeNewDecimal:
		t.Kind, word = types.Numeric, "decimal"
		if flen <= 0 {
			flen = 10
		}
		t.Len, t.Scale = int32(flen), int32(max(dec, 0))
		args = "(" + strconv.Itoa(flen) + "," + strconv.Itoa(max(dec, 0)) + ")"
	case parsermysql.TypeFloat:
		t.Kind, word = types.Float4, "float"
		if flen > 0 && dec >= 0 {
			args = "(" + strconv.Itoa(flen) + "," + strconv.Itoa(dec) + ")"
		}
	case parsermysql.TypeDouble:
		t.Kind, word = types.Float8, "double"
		if flen > 0 && dec >= 0 {
			args = "(" + strconv.Itoa(flen) + "," + strconv.Itoa(dec) + ")"
		}
	case parsermysql.TypeBit:
		t.Kind, t.Len, word = types.Bit, int32(max(flen, 1)), "bit"
		size(max(flen, 1))
	case parsermysql.TypeString:
		flen = max(flen, 0)
		if flen == 0 && ft.GetFlen() < 0 {
			flen = 1
		}
		size(flen)
		t.Len = int32(flen)
		if isBinary(ft) {
			t.Kind, t.Binary, word = types.Bytes, true, "binary"
		} else {
			t.Kind, word = types.Char, "char"
		}
	case parsermysql.TypeVarchar, parsermysql.TypeVarString:
		size(flen)
		t.Len = int32(max(flen, 0))
		if isBinary(ft) {
			t.Kind, word = types.Bytes, "varbinary"
		} else {
			t.Kind, word = types.Varchar, "varchar"
		}
	case parsermysql.TypeTinyBlob, parsermysql.TypeBlob, parsermysql.TypeMediumBlob, parsermysql.TypeLongBlob:
		t.Kind, word = types.Text, blobSize(ft.GetType(), flen, isBinary(ft))+"text"
		if isBinary(ft) {
			t.Kind, word = types.Bytes, strings.TrimSuffix(word, "text")+"blob"
		}
	case parsermysql.TypeDate, parsermysql.TypeNewDate:
		t.Kind, word = types.Date, "date"
	case parsermysql.TypeDatetime:
		word = "datetime"
		fraction(types.Timestamp)
	case parsermysql.TypeTimestamp:
		word = "timestamp"
		fraction(types.TimestampTZ)
	case parsermysql.TypeDuration:
		word = "time"
		fraction(types.Time)
	case parsermysql.TypeYear:
		t.Kind, word = types.Year, "year"
	case parsermysql.TypeJSON:
		t.Kind, word = types.JSONB, "json"
	case parsermysql.TypeEnum, parsermysql.TypeSet:
		t.Kind, word = types.Enum, "enum"
		if ft.GetType() == parsermysql.TypeSet {
			t.Kind, word = types.Set, "set"
		}
		labels := make([]string, len(ft.GetElems()))
		for i, e := range ft.GetElems() {
			labels[i] = "'" + strings.ReplaceAll(e, "'", "''") + "'"
		}
		args = "(" + strings.Join(labels, ",") + ")"
	default:
		return ir.TypeName{Name: ir.Name{Name: ft.String(), Pos: -1}, Pos: -1}
	}
	declared := word + args
	if t.Unsigned {
		declared += " unsigned"
	}
	if ft.GetFlag()&parsermysql.ZerofillFlag != 0 {
		declared += " zerofill"
	}
	return ir.TypeName{Type: t, Declared: declared, Pos: -1}
}

// blobSize is the first part of the name of a blob or text type. BLOB(n) is the smallest that holds n bytes, TEXT(n) the
// smallest that holds n characters.
func blobSize(code byte, length int, binary bool) string {
	switch code {
	case parsermysql.TypeTinyBlob:
		return "tiny"
	case parsermysql.TypeMediumBlob:
		return "medium"
	case parsermysql.TypeLongBlob:
		return "long"
	}
	if !binary {
		length *= 4
	}
	switch {
	case length <= 0:
		return ""
	case length < 1<<8:
		return "tiny"
	case length < 1<<16:
		return ""
	case length < 1<<24:
		return "medium"
	}
	return "long"
}

// castType maps the type of a CAST.
func castType(ft *parsertypes.FieldType) ir.TypeName {
	t := types.Type{}
	flen, dec := ft.GetFlen(), ft.GetDecimal()
	switch ft.GetType() {
	case parsermysql.TypeLonglong:
		t.Kind, t.Unsigned = types.Int8, ft.GetFlag()&parsermysql.UnsignedFlag != 0
	case parsermysql.TypeNewDecimal:
		t.Kind, t.Len, t.Scale = types.Numeric, 10, int32(max(dec, 0))
		if flen > 0 {
			t.Len = int32(flen)
		}
	case parsermysql.TypeDouble:
		t.Kind = types.Float8
	case parsermysql.TypeFloat:
		t.Kind = types.Float4
	case parsermysql.TypeVarString, parsermysql.TypeString, parsermysql.TypeVarchar:
		t.Kind = types.Varchar
		if isBinary(ft) {
			t.Kind = types.Bytes
			t.Binary = flen > 0
		}
		t.Len = int32(max(flen, 0))
	case parsermysql.TypeDate:
		t.Kind = types.Date
	case parsermysql.TypeDatetime, parsermysql.TypeTimestamp:
		t.Kind, t.Len = types.Timestamp, int32(max(dec, 0))+1
	case parsermysql.TypeDuration:
		t.Kind, t.Len = types.Time, int32(max(dec, 0))+1
	case parsermysql.TypeYear:
		t.Kind = types.Year
	case parsermysql.TypeJSON:
		t.Kind = types.JSONB
	default:
		return ir.TypeName{Name: ir.Name{Name: ft.String(), Pos: -1}, Pos: -1}
	}
	return ir.TypeName{Type: t, Declared: t.MySQLName(), Pos: -1}
}
