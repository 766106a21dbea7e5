package types

// The column type codes of the MySQL protocol.
const (
	MyDecimal    = 0x00
	MyTiny       = 0x01
	MyShort      = 0x02
	MyLong       = 0x03
	MyFloat      = 0x04
	MyDouble     = 0x05
	MyNull       = 0x06
	MyTimestamp  = 0x07
	MyLongLong   = 0x08
	MyInt24      = 0x09
	MyDate       = 0x0a
	MyTimeOfDay  = 0x0b
	MyDateTime   = 0x0c
	MyYear       = 0x0d
	MyVarchar    = 0x0f
	MyBit        = 0x10
	MyJSON       = 0xf5
	MyNewDecimal = 0xf6
	MyEnum       = 0xf7
	MySet        = 0xf8
	MyTinyBlob   = 0xf9
	MyMediumBlob = 0xfa
	MyLongBlob   = 0xfb
	MyBlob       = 0xfc
	MyVarString  = 0xfd
	MyString     = 0xfe
	MyGeometry   = 0xff
)

// Column flags of the MySQL protocol that follow from the type; the others come from the schema.
const (
	MyNotNullFlag       = 1
	MyPrimaryKeyFlag    = 2
	MyUniqueKeyFlag     = 4
	MyMultipleKeyFlag   = 8
	MyBlobFlag          = 16
	MyUnsignedFlag      = 32
	MyZerofillFlag      = 64
	MyBinaryFlag        = 128
	MyEnumFlag          = 256
	MyAutoIncrementFlag = 512
	MyTimestampFlag     = 1024
	MySetFlag           = 2048
	MyNoDefaultFlag     = 4096
	MyOnUpdateNowFlag   = 8192
)

// Collation ids of the MySQL protocol.
const (
	BinaryCollation  = 63
	UTF8MB4Collation = 255 // utf8mb4_0900_ai_ci
	UTF8MB4Bin       = 46  // utf8mb4_bin
)

// MySQLColumn is what a MySQL column definition says of a type.
type MySQLColumn struct {
	Type     byte
	Flags    uint16
	Charset  uint16
	Length   uint32 // in bytes, of the longest value
	Decimals byte
}

// myTextLength is the length that longtext and json columns announce.
const myTextLength = 1<<32 - 1

// MySQL returns what the MySQL protocol says of t.
func (t Type) MySQL() MySQLColumn {
	num := func(code byte, length uint32) MySQLColumn {
		c := MySQLColumn{Type: code, Flags: MyBinaryFlag, Charset: BinaryCollation, Length: length}
		if t.Unsigned {
			c.Flags |= MyUnsignedFlag
			if code != MyLongLong {
				c.Length--
			}
		}
		return c
	}
	fraction := func(code byte, length uint32) MySQLColumn {
		c := MySQLColumn{Type: code, Flags: MyBinaryFlag, Charset: BinaryCollation, Length: length}
		if f := t.myFraction(); f > 0 {
			c.Length += uint32(f) + 1
			c.Decimals = byte(f)
		}
		return c
	}
	text := func(code byte, chars uint32) MySQLColumn {
		c := MySQLColumn{Type: code, Charset: UTF8MB4Collation, Length: chars * 4}
		if t.Binary {
			c.Charset = UTF8MB4Bin
			c.Flags = MyBinaryFlag
		}
		return c
	}
	longText := MySQLColumn{Type: MyBlob, Flags: MyBlobFlag, Charset: UTF8MB4Collation, Length: myTextLength}

	switch t.Kind {
	case Unknown:
		return text(MyVarString, 0)
	case Bool:
		return num(MyTiny, 1)
	case Int1:
		return num(MyTiny, 4)
	case Int2:
		return num(MyShort, 6)
	case Int3:
		return num(MyInt24, 9)
	case Int4:
		return num(MyLong, 11)
	case Int8:
		return num(MyLongLong, 20)
	case Oid, Xid, Regclass, Regtype, Regproc, Regprocedure, Regnamespace, Regrole:
		c := num(MyLong, 10)
		c.Flags |= MyUnsignedFlag
		return c
	case Float4:
		c := num(MyFloat, 12)
		c.Decimals = 31
		return c
	case Float8:
		c := num(MyDouble, 22)
		c.Decimals = 31
		return c
	case Numeric:
		p, s := t.Len, max(t.Scale, 0)
		if p <= 0 {
			p, s = 65, 30
		}
		length := uint32(p) + 1
		if s > 0 {
			length++
		}
		c := num(MyNewDecimal, length)
		c.Decimals = byte(s)
		return c
	case Money:
		c := num(MyNewDecimal, 21)
		c.Decimals = 2
		return c
	case Date:
		return MySQLColumn{Type: MyDate, Flags: MyBinaryFlag, Charset: BinaryCollation, Length: 10}
	case Time, TimeTZ:
		return fraction(MyTimeOfDay, 10)
	case Timestamp:
		return fraction(MyDateTime, 19)
	case TimestampTZ:
		c := fraction(MyTimestamp, 19)
		c.Flags |= MyTimestampFlag
		return c
	case Year:
		c := num(MyYear, 4)
		c.Flags |= MyUnsignedFlag | MyZerofillFlag
		return c
	case Bit:
		return MySQLColumn{Type: MyBit, Flags: MyUnsignedFlag, Charset: BinaryCollation, Length: uint32(max(t.Len, 1))}
	case Varchar:
		if t.Len == 0 { // of an expression
			return text(MyVarString, 16383)
		}
		return text(MyVarString, uint32(t.Len))
	case Char:
		return text(MyString, uint32(max(t.Len, 1)))
	case Name:
		return text(MyVarString, 64)
	case UUID:
		return text(MyString, 36)
	case InternalChar:
		return text(MyString, 1)
	case Enum:
		c := text(MyString, 255)
		c.Flags |= MyEnumFlag
		return c
	case Set:
		c := text(MyString, 255)
		c.Flags |= MySetFlag
		return c
	case Bytes:
		switch {
		case t.Len > 0 && t.Binary:
			return MySQLColumn{Type: MyString, Flags: MyBinaryFlag, Charset: BinaryCollation, Length: uint32(t.Len)}
		case t.Len > 0:
			return MySQLColumn{Type: MyVarString, Flags: MyBinaryFlag, Charset: BinaryCollation, Length: uint32(t.Len)}
		}
		return MySQLColumn{Type: MyBlob, Flags: MyBlobFlag | MyBinaryFlag, Charset: BinaryCollation, Length: myTextLength}
	case JSON, JSONB, Array:
		return MySQLColumn{Type: MyJSON, Flags: MyBlobFlag | MyBinaryFlag, Charset: BinaryCollation, Length: myTextLength}
	case Interval:
		return text(MyVarString, 64)
	}
	if t.Binary {
		longText.Charset = UTF8MB4Bin
		longText.Flags |= MyBinaryFlag
	}
	return longText
}

// myFraction returns the digits of a second that a MySQL client is shown.
func (t Type) myFraction() int {
	if t.Len > 0 {
		return int(t.Len) - 1
	}
	return 6
}

// FromMySQL returns the type that a MySQL type code and flags name, as the parameters of a prepared statement carry them.
func FromMySQL(code byte, unsigned bool) Type {
	t := Type{Unsigned: unsigned}
	switch code {
	case MyTiny:
		t.Kind = Int1
	case MyShort:
		t.Kind = Int2
	case MyInt24:
		t.Kind = Int3
	case MyLong:
		t.Kind = Int4
	case MyLongLong:
		t.Kind = Int8
	case MyYear:
		t.Kind = Year
	case MyFloat:
		t.Kind = Float4
	case MyDouble:
		t.Kind = Float8
	case MyDecimal, MyNewDecimal:
		t.Kind = Numeric
	case MyDate:
		t.Kind = Date
	case MyDateTime, MyTimestamp:
		t.Kind = Timestamp
	case MyTimeOfDay:
		t.Kind = Time
	case MyBit:
		return Type{Kind: Bytes}
	case MyJSON:
		return Type{Kind: JSON}
	case MyTinyBlob, MyMediumBlob, MyLongBlob, MyBlob, MyGeometry:
		return Type{Kind: Bytes}
	case MyNull:
		return Type{}
	default:
		return Type{Kind: Text}
	}
	return t
}
