-- A workload that predicts: one photo by its id, and the photos of a list of labels, with prepared statements.
if sysbench.cmdline.command == nil then
    error("the only command is: run")
end

sysbench.cmdline.options = {
    labels = {"Labels to look for, separated by commas", ""},
    photos = {"Photos in the table", 20},
}

function thread_init()
    drv = sysbench.sql.driver()
    con = drv:connect()
    labels = {}
    for label in string.gmatch(sysbench.opt.labels, "[^,]+") do
        labels[#labels + 1] = label
    end
    point = con:prepare("SELECT id, ml.predict('apparel', photo) FROM photos WHERE id = ?")
    id = point:bind_create(sysbench.sql.type.INT)
    point:bind_param(id)
    list = con:prepare("SELECT ml.apparel(photo) AS k, COUNT(*) FROM photos WHERE ml.predict('apparel', photo) IN (?, ?) GROUP BY k")
    one = list:bind_create(sysbench.sql.type.VARCHAR, 40)
    other = list:bind_create(sysbench.sql.type.VARCHAR, 40)
    list:bind_param(one, other)
end

function event()
    id:set(sysbench.rand.uniform(1, sysbench.opt.photos))
    local result = point:execute()
    if result.nrows ~= 1 then
        error("a photo has " .. tostring(result.nrows) .. " rows")
    end
    result:free()
    local first = sysbench.rand.uniform(1, #labels)
    one:set(labels[first])
    other:set(labels[first % #labels + 1])
    result = list:execute()
    if result.nrows < 1 or result.nrows > 2 then
        error("two labels have " .. tostring(result.nrows) .. " rows")
    end
    result:free()
end

function thread_done()
    point:close()
    list:close()
    con:disconnect()
end
