"""Metrics and logs. Built once by the application and passed in; nothing here is global."""
