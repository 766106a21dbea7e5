package mywire

// The capabilities of the protocol that this package knows.
const (
	capLongPassword    = 1 << 0
	capFoundRows       = 1 << 1
	capLongFlag        = 1 << 2
	capConnectWithDB   = 1 << 3
	capODBC            = 1 << 6
	capLocalFiles      = 1 << 7
	capIgnoreSpace     = 1 << 8
	capProtocol41      = 1 << 9
	capInteractive     = 1 << 10
	capSSL             = 1 << 11
	capTransactions    = 1 << 13
	capSecure          = 1 << 15
	capMultiStatements = 1 << 16
	capMultiResults    = 1 << 17
	capPSMultiResults  = 1 << 18
	capPluginAuth      = 1 << 19
	capConnectAttrs    = 1 << 20
	capAuthLenenc      = 1 << 21
	capDeprecateEOF    = 1 << 24

	capabilities = capLongPassword | capFoundRows | capLongFlag | capConnectWithDB | capODBC | capLocalFiles | capIgnoreSpace |
		capProtocol41 | capInteractive | capTransactions | capSecure | capMultiStatements | capMultiResults | capPSMultiResults |
		capPluginAuth | capConnectAttrs | capAuthLenenc | capDeprecateEOF
)

// The bits of a session's status.
const (
	statusInTransaction      = 0x0001
	statusAutocommit         = 0x0002
	statusMoreResults        = 0x0008
	statusCursorExists       = 0x0040
	statusLastRowSent        = 0x0080
	statusNoBackslashEscapes = 0x0200
)

// The commands.
const (
	comQuit            = 0x01
	comInitDB          = 0x02
	comQuery           = 0x03
	comFieldList       = 0x04
	comRefresh         = 0x07
	comStatistics      = 0x09
	comProcessInfo     = 0x0a
	comProcessKill     = 0x0c
	comDebug           = 0x0d
	comPing            = 0x0e
	comChangeUser      = 0x11
	comStmtPrepare     = 0x16
	comStmtExecute     = 0x17
	comStmtLongData    = 0x18
	comStmtClose       = 0x19
	comStmtReset       = 0x1a
	comSetOption       = 0x1b
	comStmtFetch       = 0x1c
	comResetConnection = 0x1f
)

// The methods of authentication.
const (
	pluginCaching = "caching_sha2_password"
	pluginNative  = "mysql_native_password"
	pluginClear   = "mysql_clear_password"
)
