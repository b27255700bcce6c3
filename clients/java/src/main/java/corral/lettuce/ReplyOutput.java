package corral.lettuce;

import io.lettuce.core.codec.ByteArrayCodec;
import io.lettuce.core.output.CommandOutput;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/** Any reply of RESP2 and RESP3: bytes, a text, a Long, a flat List of these or null. */
final class ReplyOutput extends CommandOutput<byte[], byte[], Object> {
    private record Frame(List<Object> elements, int count) {}

    private final Deque<Frame> open = new ArrayDeque<>(2);

    ReplyOutput() {
        super(ByteArrayCodec.INSTANCE, null);
    }

    @Override
    public void set(ByteBuffer bytes) {
        add(bytes == null ? null : ByteArrayCodec.INSTANCE.decodeValue(bytes));
    }

    @Override
    public void setSingle(ByteBuffer text) {
        add(text == null ? null : StandardCharsets.UTF_8.decode(text).toString());
    }

    @Override
    public void setBigNumber(ByteBuffer text) {
        setSingle(text);
    }

    @Override
    public void set(long number) {
        add(number);
    }

    @Override
    public void set(double number) {
        add(number);
    }

    @Override
    public void set(boolean truth) {
        add(truth);
    }

    @Override
    public void multi(int count) {
        open.push(new Frame(new ArrayList<>(Math.max(count, 0)), count));
        closeFull();
    }

    /** As RESP2 has it: names and values by turns. */
    @Override
    public void multiMap(int pairs) {
        multi(pairs * 2);
    }

    private void add(Object value) {
        if (open.isEmpty()) output = value;
        else open.peek().elements.add(value);
        closeFull();
    }

    private void closeFull() {
        while (!open.isEmpty() && open.peek().elements.size() >= open.peek().count) {
            List<Object> whole = open.pop().elements;
            if (open.isEmpty()) output = whole;
            else open.peek().elements.add(whole);
        }
    }
}
