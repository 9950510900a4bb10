"""Local Stripe, Salesforce, Slack and mail over real HTTP and SMTP, with a movable clock, faults and a journal."""
