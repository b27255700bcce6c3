package corral

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

const slots = 16384

// slotMap is the address of each slot's master.
type slotMap [slots]string

// masters are all of them, each once.
func (m *slotMap) masters() []string {
	var found []string
	seen := map[string]bool{"": true}
	for _, address := range m {
		if !seen[address] {
			seen[address] = true
			found = append(found, address)
		}
	}
	return found
}

// slotsOf reads an answer of CLUSTER SLOTS. A node that does not know its own host means the one that was asked.
func slotsOf(reply any, asked string) (*slotMap, error) {
	ranges, ok := reply.([]any)
	if !ok {
		return nil, fmt.Errorf("corral: CLUSTER SLOTS answered %T", reply)
	}
	askedHost, _, _ := net.SplitHostPort(asked)
	made := new(slotMap)
	for _, one := range ranges {
		words, _ := one.([]any)
		if len(words) < 3 {
			return nil, fmt.Errorf("corral: CLUSTER SLOTS answered %v", one)
		}
		from, _ := words[0].(int64)
		to, _ := words[1].(int64)
		node, _ := words[2].([]any)
		if len(node) < 2 || from < 0 || to >= slots {
			return nil, fmt.Errorf("corral: CLUSTER SLOTS answered %v", one)
		}
		host, _ := node[0].(string)
		port, _ := node[1].(int64)
		if host == "" || host == "?" {
			host = askedHost
		}
		for slot := from; slot <= to; slot++ {
			made[slot] = net.JoinHostPort(host, strconv.FormatInt(port, 10))
		}
	}
	return made, nil
}

const keysOfOneCommand = 500

// together are the keys as one command takes them: of one slot if it may be a cluster, and no more than a server does
// without a break.
func (s *servers) together(keys []string) [][]string {
	of := map[int][]string{}
	for _, key := range keys {
		slot := 0
		if !s.isSingle() {
			slot = slotOf(key)
		}
		of[slot] = append(of[slot], key)
	}
	var groups [][]string
	for _, keys := range of {
		groups = slices.AppendSeq(groups, slices.Chunk(keys, keysOfOneCommand))
	}
	return groups
}

// slotOf is the slot of a key: CRC16 of its hash tag, if it has one.
func slotOf(key string) int {
	if open := strings.IndexByte(key, '{'); open >= 0 {
		if length := strings.IndexByte(key[open+1:], '}'); length > 0 {
			key = key[open+1 : open+1+length]
		}
	}
	var crc uint16
	for i := range len(key) {
		crc = crc<<8 ^ crc16[byte(crc>>8)^key[i]]
	}
	return int(crc % slots)
}

// crc16 is XMODEM's table, as Redis uses it.
var crc16 = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		table[i] = crc
	}
	return table
}()
