# frozen_string_literal: true

# A Rack application, as any server runs it.
run(lambda do |_env|
  body = "hello from #{Process.pid}\n"
  [200, { 'content-type' => 'text/plain', 'content-length' => body.bytesize.to_s }, [body]]
end)
