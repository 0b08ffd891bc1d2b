# frozen_string_literal: true

# A phased restart replaces workers one by one, and needs code that each loads itself.
workers 4
threads 8, 8
preload_app! false
