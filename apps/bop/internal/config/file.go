package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// File is a configuration file that was read and checked.
type File struct {
	Name   string
	values map[string]any
}

// ReadFile reads a configuration file. Keys that aren't settings are errors that show the place.
func ReadFile(name string) (*File, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	var strict Serve
	if err := yaml.UnmarshalWithOptions(text, &strict, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("configuration file %s:\n%s", name, yaml.FormatError(err, false, true))
	}
	f := &File{Name: name, values: map[string]any{}}
	if err := yaml.Unmarshal(text, &f.values); err != nil {
		return nil, fmt.Errorf("configuration file %s: %w", name, err)
	}
	return f, nil
}

// envs are the environment variables of the settings, by name.
var envs = func() map[string]string {
	all := map[string]string{}
	for field := range reflect.TypeFor[Serve]().Fields() {
		all[field.Tag.Get("name")] = field.Tag.Get("env")
	}
	return all
}()

// Resolve makes f a source of flag values for kong.
func (f *File) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if f == nil {
		return nil, nil
	}
	for _, env := range flag.Envs {
		if _, set := os.LookupEnv(env); set {
			return nil, nil // kong asks resolvers after the environment, and the environment goes before the file
		}
	}
	value, ok := f.values[flag.Name]
	if !ok || !slices.Contains(flag.Envs, envs[flag.Name]) {
		return nil, nil // other commands have flags of the same name that mean something else
	}
	return fmt.Sprint(value), nil
}

// Validate is part of kong.Resolver; the file was checked when it was read.
func (f *File) Validate(*kong.Application) error { return nil }

// Setting is one setting with where its value came from.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"` // "flag", "environment BOP_PG", "file NAME", "default"
}

// Settings lists what s holds, in the order of the help. given names the flags of the command line.
func Settings(s *Serve, given map[string]bool, f *File) []Setting {
	var out []Setting
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, env := field.Tag.Get("name"), field.Tag.Get("env")
		set := Setting{Name: name, Value: fmt.Sprint(v.Field(i).Interface()), Source: "default"}
		switch _, inEnv := os.LookupEnv(env); {
		case given[name]:
			set.Source = "flag"
		case inEnv:
			set.Source = "environment " + env
		case f != nil && f.values[name] != nil:
			set.Source = "file " + f.Name
		}
		out = append(out, set)
	}
	return out
}

// Find returns the configuration file to read: the one that was named, else bop.conf.yaml in the working folder if it
// is there, else none.
func Find(named string) (*File, error) {
	if named != "" {
		return ReadFile(named)
	}
	const usual = "bop.conf.yaml"
	if _, err := os.Stat(usual); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return ReadFile(usual)
}
