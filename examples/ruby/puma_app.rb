# frozen_string_literal: true

# A Rack application in puma, which is given the master's socket.
#
#     einhorn -b 127.0.0.1:7000 -n 2 -m manual ruby puma_app.rb

require 'einhorn/worker'
require 'puma'
require 'puma/configuration'
require 'puma/launcher'

app = lambda do |_env|
  [200, { 'Content-Type' => 'text/plain' }, ["hello from #{Process.pid}\n"]]
end

# So puma takes over a listening socket: by its number and the address that it would bind.
descriptor = Einhorn::Worker.socket!
address = TCPServer.for_fd(descriptor).tap { |listener| listener.autoclose = false }.local_address
url = "tcp://#{address.inspect_sockaddr}"
ENV['PUMA_INHERIT_0'] = "#{descriptor}:#{url}"

configuration = Puma::Configuration.new do |config|
  config.app app
  config.bind url
  config.threads 1, 8
  # A connection an answer: puma ends idle ones at once when it stops, and a request may be on
  # its way on them. What it has accepted it answers.
  config.queue_requests false
  config.quiet
end

launcher = Puma::Launcher.new(configuration)
launcher.events.on_booted do
  # Only here, since puma has a use of its own for SIGUSR2 and sets that up before.
  Einhorn::Worker.graceful_shutdown { launcher.stop }
  Einhorn::Worker.ack
end
launcher.run
