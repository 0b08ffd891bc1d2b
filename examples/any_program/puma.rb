# frozen_string_literal: true

# A connection an answer, which puma says in it. With its queue, puma closes on SIGTERM each
# connection that it has accepted and not yet read from.
queue_requests false
