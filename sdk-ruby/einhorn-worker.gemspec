# frozen_string_literal: true

require_relative 'lib/einhorn/worker'

Gem::Specification.new do |gem|
  gem.name = 'einhorn-worker'
  gem.version = Einhorn::Worker::VERSION
  gem.summary = 'Makes a program a good worker of an einhorn master'
  gem.description = 'Inherited sockets, acknowledgement and graceful shutdown for programs that ' \
                    'an einhorn master starts'
  gem.authors = ['The einhorn maintainers']
  gem.licenses = %w[MIT Apache-2.0]
  gem.required_ruby_version = '>= 2.7'
  gem.files = %w[lib/einhorn/worker.rb README.md LICENSE]
  gem.require_paths = ['lib']
end
