"""Local Stripe, Salesforce and Slack over real HTTP, with a movable clock, faults and a journal."""
