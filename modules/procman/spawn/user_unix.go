//go:build unix

package spawn

import (
	"errors"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// credential resolves User and Group. nil: stay what we are.
func (s *Spec) credential() (*syscall.Credential, error) {
	if s.User == "" && s.Group == "" {
		return nil, nil
	}
	c := &syscall.Credential{Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid())}
	if s.User != "" {
		if err := s.setUser(c); err != nil {
			return nil, err
		}
	}
	if s.Group != "" {
		g, err := user.LookupGroup(s.Group)
		if err != nil {
			if _, e := strconv.ParseUint(s.Group, 10, 32); e != nil {
				return nil, s.failed("look up group", s.Group, err, "")
			}
			g = &user.Group{Gid: s.Group}
		}
		c.Gid = number(g.Gid)
	}
	if os.Geteuid() == 0 {
		return c, nil
	}
	if c.Uid == uint32(os.Geteuid()) && c.Gid == uint32(os.Getegid()) {
		return nil, nil
	}
	return nil, s.failed("become user", s.User+":"+s.Group, syscall.EPERM, "only root can start a process as another user")
}

func (s *Spec) setUser(c *syscall.Credential) error {
	u, err := user.Lookup(s.User)
	if err != nil {
		if _, e := strconv.ParseUint(s.User, 10, 32); e != nil {
			return s.failed("look up user", s.User, err, "")
		}
		if u, err = user.LookupId(s.User); err != nil {
			// Its group would be the supervisor's, which is root's.
			if s.Group == "" {
				return s.failed("look up user", s.User, errors.New("a number without an entry needs Group too"), "")
			}
			c.Uid = number(s.User)
			return nil
		}
	}
	c.Uid, c.Gid = number(u.Uid), number(u.Gid)
	ids, err := u.GroupIds()
	if err != nil {
		return s.failed("look up groups of user", s.User, err, "")
	}
	for _, id := range ids {
		c.Groups = append(c.Groups, number(id))
	}
	return nil
}

// number is for what was checked or comes from the system's own files.
func number(s string) uint32 {
	n, _ := strconv.ParseUint(s, 10, 32)
	return uint32(n)
}
