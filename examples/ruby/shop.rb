# frozen_string_literal: true

require "sqlite3"

# The orders of a small shop, in SQLite, and a report that takes its time.
class Shop
  # Fills a new one, before the workers are forked, and keeps no connection.
  def initialize(path)
    @path = path
    SQLite3::Database.new(path) do |database|
      database.execute("CREATE TABLE IF NOT EXISTS orders (day TEXT, city TEXT, cents INTEGER)")
      database.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
        INSERT INTO orders SELECT 'day ' || (i % 7), 'city ' || (i % 40), i % 9973 FROM n WHERE NOT EXISTS (SELECT 1 FROM orders)")
    end
  end

  def report(day)
    orders, cents = database.get_first_row("SELECT count(*), sum(cents) FROM orders WHERE day = ?", [day])
    cities = database.execute("SELECT city, sum(cents) FROM orders WHERE day = ? GROUP BY city ORDER BY 2 DESC LIMIT 3", [day])
    { "day" => day, "orders" => orders, "total" => cents / 100.0, "cities" => cities }
  end

  def order(day, city, cents)
    database.execute("INSERT INTO orders VALUES (?, ?, ?)", [day, city, cents])
  end

  private

  # One for each thread, opened by who builds: a page from the cache needs none.
  def database
    Thread.current[:shop] ||= SQLite3::Database.new(@path).tap { |made| made.busy_timeout = 1_000 }
  end
end
