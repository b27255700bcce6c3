# frozen_string_literal: true

# The same page with Rails' cache: the store is Corral's, the code is as with any other.
#
#   gem install corral-cache activesupport redis rack puma sqlite3
#   REDIS_URL=redis://127.0.0.1:6379 puma --workers 4 --preload rails_page.ru
#
# In a Rails application: config.cache_store = :corral_store, { url: ENV["REDIS_URL"], race_condition_ttl: 5.seconds }

require "cgi"
require "tmpdir"
require "rack"
require "active_support"
require "active_support/cache"
require "active_support/core_ext/numeric/time"
require_relative "shop"

shop = Shop.new(ENV.fetch("SHOP", File.join(Dir.tmpdir, "shop.sqlite")))
cache = ActiveSupport::Cache.lookup_store(
  :corral_store, { url: ENV.fetch("REDIS_URL", "redis://127.0.0.1:6379"), namespace: "shop", race_condition_ttl: 5.seconds, sie: 1.hour }
)

run(lambda do |environment|
  day = Rack::Request.new(environment).params.fetch("day", "day 0")
  report = cache.fetch(["report", day], expires_in: 1.second) { shop.report(day) }
  body = format("<h1>%s</h1><p>%d orders, %.2f</p>", CGI.escapeHTML(day), report["orders"], report["total"])
  [200, { "Content-Type" => "text/html" }, [body]]
end)
