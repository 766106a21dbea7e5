package crypt

import "errors"

// What opening a keyring can end with, besides what the provider reports.
var (
	// ErrNoProvider: the database is encrypted and no KeyProvider was given.
	ErrNoProvider = errors.New("the database is encrypted: give --key-file PATH, env:NAME or command:CMD")

	// ErrNoKey: what is to be opened names a key that isn't there: a wrapping key that the provider doesn't have, or
	// a data key that the keyring doesn't have.
	ErrNoKey = errors.New("the key isn't there")

	// ErrWrongKey: the provider has a wrapping key of that name, but it doesn't open the data key.
	ErrWrongKey = errors.New("the key is another one than that which wrapped the data key")

	// ErrDamaged: a keyring or the header of an object isn't as it was written.
	ErrDamaged = errors.New("damaged")

	// ErrNewer: a newer version of this program wrote it.
	ErrNewer = errors.New("written by a newer version: update this program")
)

// ErrForged: sealed bytes don't open, because they were changed, are of another place, or were sealed for something
// else than the associated data say.
var ErrForged = errors.New("sealed bytes were changed, or belong elsewhere")
