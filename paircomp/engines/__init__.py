"""Ways of spreading the steps of an evaluation over other processes than this one."""
