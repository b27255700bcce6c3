# frozen_string_literal: true

# Every block of README.md is run as it stands, but for the server's address, with the gem installed.

require "minitest/autorun"
require "open3"
require "tmpdir"
require "redis"

class ReadmeTest < Minitest::Test
  TEXT = File.read(ENV.fetch("CORRAL_README"))
  URL = ENV.fetch("REDIS_URL")
  BLOCKS = TEXT.scan(/^```ruby\n(.*?)^```$/m).flatten

  BLOCKS.each_with_index do |block, index|
    define_method("test_block_#{index + 1}_runs") do
      Redis.new(url: URL).flushall
      Dir.mktmpdir do |directory|
        program = File.join(directory, "block.rb")
        File.write(program, block.gsub("redis://localhost:6379", URL))
        said, status = Open3.capture2e("ruby", "-w", program, chdir: directory)
        assert_predicate status, :success?, said
        assert_empty said.lines.grep(/corral:|block\.rb.*warning/), said
      end
    end
  end

  def test_there_is_no_block_that_nobody_runs
    assert_equal %w[ruby sh text], TEXT.scan(/^```(\w+)$/).flatten.uniq.sort
    assert_equal 3, BLOCKS.size
  end

  def test_the_user_is_the_one_that_the_conformance_scenarios_are_played_with
    assert_equal [File.read(ENV.fetch("CORRAL_ACL")).strip], TEXT.scan(/^```text\n(.*?)\n```$/m).flatten
  end
end
