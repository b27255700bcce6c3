# frozen_string_literal: true

# A page over SQLite: GET /?day=day+3 shows the day's report, POST adds an order and invalidates it.
#
#   gem install corral-cache redis rack puma sqlite3
#   REDIS_URL=redis://127.0.0.1:6379 puma --workers 4 --preload page.ru

require "cgi"
require "tmpdir"
require "rack"
require "corral"
require_relative "shop"

shop = Shop.new(ENV.fetch("SHOP", File.join(Dir.tmpdir, "shop.sqlite")))
# Made before the workers are forked: each makes connections of its own.
cache = Corral.new(ENV.fetch("REDIS_URL", "redis://127.0.0.1:6379"), ttl: 1, swr: 5, sie: 3600)

page = cache.cached("page:{day}") do |day|
  report = shop.report(day)
  cities = report["cities"].map { |city, cents| "<li>#{city}: #{cents}" }.join
  format("<h1>%s</h1><p>%d orders, %.2f</p><ol>%s</ol>", CGI.escapeHTML(day), report["orders"], report["total"], cities)
end

run(lambda do |environment|
  request = Rack::Request.new(environment)
  day = request.params.fetch("day", "day 0")
  next [200, { "Content-Type" => "text/html" }, [page.call(day)]] unless request.post?

  shop.order(day, request.params.fetch("city", "city 0"), request.params.fetch("cents", 100).to_i)
  page.invalidate(day)
  [204, {}, []]
rescue Corral::BuildFailed => failed
  [503, { "Retry-After" => failed.retry_after.ceil.to_s }, []]
end)
