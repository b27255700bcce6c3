package corral

import "testing"

func TestSlotsAreThoseOfTheClusterSpecification(t *testing.T) {
	for key, slot := range map[string]int{
		"123456789": 0x31C3, "foo": 12182, "{user1000}.following": 3443, "{user1000}.followers": 3443, "foo{}{bar}": 8363,
		"foo{{bar}}zap": 4015, "": 0,
	} {
		if found := slotOf(key); found != slot {
			t.Errorf("%q is in slot %d, not %d", key, found, slot)
		}
	}
}

func TestSlotsAreReadAsTheServerTellsThem(t *testing.T) {
	reply := []any{
		[]any{int64(0), int64(8000), []any{"", int64(7000), "id"}, []any{"10.0.0.9", int64(7003), "replica"}},
		[]any{int64(8001), int64(16382), []any{"::1", int64(7001), "id"}},
	}
	found, err := slotsOf(reply, "10.0.0.1:6379")
	if err != nil || found[0] != "10.0.0.1:7000" || found[8001] != "[::1]:7001" || found[16383] != "" || len(found.masters()) != 2 {
		t.Errorf("%v, %v", found.masters(), err)
	}
	for _, wrong := range []any{"text", []any{"text"}, []any{[]any{int64(0), int64(99999), []any{"h", int64(1)}}}} {
		if _, err := slotsOf(wrong, "h:1"); err == nil {
			t.Errorf("%v was taken", wrong)
		}
	}
}
