# frozen_string_literal: true

Gem::Specification.new do |spec|
  spec.name = "corral-cache"
  spec.version = "0.1.0"
  spec.summary = "Values that are built once, however many ask for them at the same time"
  spec.description = "A cache over Redis or Valkey with the Corral module: one build among all processes, for Rails too."
  spec.authors = ["The Corral authors"]
  spec.licenses = ["MIT", "Apache-2.0"]
  spec.required_ruby_version = ">= 3.1" # Process._fork
  spec.files = Dir["lib/**/*.rb"] + %w[README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE]
  # redis-client or redis is what you have: neither is forced upon you.
end
