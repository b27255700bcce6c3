package corral;

/** The slot of a key in a cluster: CRC16 of the part between braces, or of the whole. */
final class Slot {
    private static final int[] TABLE = new int[256];

    static {
        for (int index = 0; index < TABLE.length; index++) {
            int value = index << 8;
            for (int bit = 0; bit < 8; bit++) value = (value & 0x8000) == 0 ? value << 1 : (value << 1) ^ 0x1021;
            TABLE[index] = value & 0xffff;
        }
    }

    private Slot() {}

    static int of(byte[] key) {
        int open = indexOf(key, '{', 0);
        int close = open < 0 ? -1 : indexOf(key, '}', open + 1);
        boolean tagged = close > open + 1;
        int crc = 0;
        for (int at = tagged ? open + 1 : 0; at < (tagged ? close : key.length); at++) {
            crc = ((crc << 8) ^ TABLE[((crc >>> 8) ^ key[at]) & 0xff]) & 0xffff;
        }
        return crc & 16383;
    }

    private static int indexOf(byte[] key, char wanted, int from) {
        for (int at = from; at < key.length; at++) if (key[at] == wanted) return at;
        return -1;
    }
}
