package shop;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.cache.annotation.CacheEvict;
import org.springframework.cache.annotation.Cacheable;
import org.springframework.stereotype.Service;

/** The shop's orders. Each query is written down, so that it can be counted. */
@Service
public class Reports {
    private final String database;

    public Reports(@Value("${shop.database}") String database) throws SQLException {
        this.database = "jdbc:sqlite:" + database;
        try (Connection connection = open(); Statement statement = connection.createStatement()) {
            statement.execute("CREATE TABLE IF NOT EXISTS orders (day TEXT, amount INTEGER)");
            statement.execute("CREATE TABLE IF NOT EXISTS queries (day TEXT, process INTEGER)");
        }
    }

    /** Without {@code sync} each of a hundred callers would run it: Spring then has a get and a put, and nothing between. */
    @Cacheable(cacheNames = "report", sync = true)
    public String of(String day) throws SQLException, InterruptedException {
        try (Connection connection = open(); var orders = connection.prepareStatement("SELECT count(*), total(amount) FROM orders WHERE day = ?")) {
            try (var note = connection.prepareStatement("INSERT INTO queries VALUES (?, ?)")) {
                note.setString(1, day);
                note.setLong(2, ProcessHandle.current().pid());
                note.execute();
            }
            Thread.sleep(1_000); // a query over a year of orders
            orders.setString(1, day);
            try (ResultSet row = orders.executeQuery()) {
                return row.getLong(1) + " orders, " + row.getLong(2) + " in all";
            }
        }
    }

    @CacheEvict(cacheNames = "report", key = "#day")
    public void order(String day, int amount) throws SQLException {
        try (Connection connection = open(); var order = connection.prepareStatement("INSERT INTO orders VALUES (?, ?)")) {
            order.setString(1, day);
            order.setInt(2, amount);
            order.execute();
        }
    }

    public long queries(String day) throws SQLException {
        try (Connection connection = open(); var count = connection.prepareStatement("SELECT count(*) FROM queries WHERE day = ?")) {
            count.setString(1, day);
            try (ResultSet row = count.executeQuery()) {
                return row.getLong(1);
            }
        }
    }

    private Connection open() throws SQLException {
        Connection connection = DriverManager.getConnection(database);
        try (Statement statement = connection.createStatement()) {
            statement.execute("PRAGMA busy_timeout = 10000");
        }
        return connection;
    }
}
