# frozen_string_literal: true

worker_processes 4
preload_app false
pid "#{ENV.fetch('BENCH_FOLDER')}/unicorn.pid"
