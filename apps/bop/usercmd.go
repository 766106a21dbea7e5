package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
	"github.com/bop-platform/bop/modules/wire/auth"
)

type userCmd struct {
	Add    userAddCmd    `cmd:"" help:"Add a user, or give one another password."`
	List   userListCmd   `cmd:"" help:"List the users."`
	Remove userRemoveCmd `cmd:"" help:"Remove a user."`
}

// userPlace names where the users are that a command works on: in a file, whose changes a running server notices, or in
// the cluster of a running server.
type userPlace struct {
	AuthFile string `name:"auth-file" env:"BOP_AUTH_FILE" placeholder:"FILE" help:"The file that bop serve --auth-file reads. Without it the users are those of a running server's cluster, for bop serve --auth."`
	remoteFlags
}

// users are what both places can do.
type users interface {
	Names(ctx context.Context) ([]string, error)
	Add(ctx context.Context, user, password string) error
	Remove(ctx context.Context, user string) error
}

func (f *userPlace) open() (users, error) {
	if f.AuthFile != "" {
		file, err := auth.OpenFile(f.AuthFile)
		return usersInFile{file}, err
	}
	client, err := f.client()
	return usersInCluster{client}, err
}

type usersInFile struct{ file *auth.File }

func (u usersInFile) Names(context.Context) ([]string, error) { return u.file.Names(), nil }
func (u usersInFile) Add(_ context.Context, user, password string) error {
	return u.file.Add(user, password)
}
func (u usersInFile) Remove(_ context.Context, user string) error { return u.file.Remove(user) }

type usersInCluster struct{ client *admin.Client }

func (u usersInCluster) Names(ctx context.Context) ([]string, error) { return u.client.Users(ctx) }
func (u usersInCluster) Remove(ctx context.Context, user string) error {
	return u.client.RemoveUser(ctx, user)
}

func (u usersInCluster) Add(ctx context.Context, user, password string) error {
	e, err := auth.NewUser(user, password)
	if err != nil {
		return err
	}
	return u.client.PutUser(ctx, e)
}

func (f *userPlace) report(e *env, done, name string) error {
	if f.JSON {
		return json.NewEncoder(e.out).Encode(map[string]string{"user": name, "result": done})
	}
	_, err := fmt.Fprintf(e.out, "%s %s\n", done, name)
	return err
}

type userAddCmd struct {
	userPlace
	Name          string `arg:"" help:"The user's name."`
	PasswordStdin bool   `name:"password-stdin" help:"Read the password from standard input instead of asking for it."`
}

func (c *userAddCmd) Help() string {
	return "The password is asked for, or read from standard input; it is never taken from the command line, where others could see it.\n\nExample:\n  bop user add --http 127.0.0.1:7070 ada\n  bop user add --auth-file users ada"
}

func (c *userAddCmd) Run(ctx context.Context, e *env) error {
	users, err := c.open()
	if err != nil {
		return err
	}
	var password string
	if c.PasswordStdin {
		password, err = readLine(e.in)
	} else {
		password, err = askTwice(e)
	}
	if err != nil {
		return err
	}
	if err := users.Add(ctx, c.Name, password); err != nil {
		return err
	}
	return c.report(e, "added", c.Name)
}

type userListCmd struct{ userPlace }

func (c *userListCmd) Help() string { return "Example:\n  bop user list --http 127.0.0.1:7070" }

func (c *userListCmd) Run(ctx context.Context, e *env) error {
	if c.AuthFile != "" {
		if _, err := os.Stat(c.AuthFile); err != nil {
			return err
		}
	}
	users, err := c.open()
	if err != nil {
		return err
	}
	names, err := users.Names(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string][]string{"users": names})
	}
	for _, n := range names {
		fmt.Fprintln(e.out, n)
	}
	return nil
}

type userRemoveCmd struct {
	userPlace
	Name string `arg:"" help:"The user's name."`
}

func (c *userRemoveCmd) Help() string {
	return "Sessions that are open stay open.\n\nExample:\n  bop user remove --http 127.0.0.1:7070 ada"
}

func (c *userRemoveCmd) Run(ctx context.Context, e *env) error {
	users, err := c.open()
	if err != nil {
		return err
	}
	if err := users.Remove(ctx, c.Name); err != nil {
		return err
	}
	return c.report(e, "removed", c.Name)
}

// readLine reads one line; its end is not part of it.
func readLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// askTwice asks at the terminal, without showing what is typed.
func askTwice(e *env) (string, error) {
	if st, err := e.in.Stat(); err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return "", errors.New("standard input is no terminal: give --password-stdin to read the password from it")
	}
	restore, err := hideTyping(e.in)
	if err != nil {
		return "", err
	}
	defer restore()
	in := bufio.NewReader(e.in)
	ask := func(prompt string) (string, error) {
		fmt.Fprint(e.err, prompt)
		line, err := in.ReadString('\n')
		fmt.Fprintln(e.err)
		return strings.TrimRight(line, "\r\n"), err
	}
	password, err := ask("Password: ")
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	again, err := ask("Again: ")
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	if password != again {
		return "", errors.New("the passwords differ")
	}
	return password, nil
}

// hideTyping turns the terminal's echo off by stty, which every system with terminals has.
func hideTyping(terminal *os.File) (restore func(), err error) {
	stty := func(arg string) error {
		c := exec.Command("stty", arg)
		c.Stdin = terminal
		return c.Run()
	}
	if err := stty("-echo"); err != nil {
		return nil, fmt.Errorf("can't hide what is typed (stty: %w): give --password-stdin", err)
	}
	return func() { stty("echo") }, nil
}
